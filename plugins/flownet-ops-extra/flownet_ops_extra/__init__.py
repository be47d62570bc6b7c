"""Ops from papers of the field, one file an op; this module is the plugin."""

from __future__ import annotations

from flownet import Op, hookimpl
from flownet_ops_extra.dice_loss import DiceLoss
from flownet_ops_extra.focal_loss import FocalLoss, FocalTerm
from flownet_ops_extra.local_response_norm import LocalResponseNorm
from flownet_ops_extra.maxout import Maxout
from flownet_ops_extra.mish import Mish
from flownet_ops_extra.spatial_pyramid_pool import SpatialPyramidPool
from flownet_ops_extra.squash import Squash
from flownet_ops_extra.squeeze_excitation import SqueezeExcitation

__all__ = [
    "DiceLoss", "FocalLoss", "FocalTerm", "LocalResponseNorm", "Maxout", "Mish", "SpatialPyramidPool", "Squash", "SqueezeExcitation",
]  # fmt: skip

flownet_api = 1


@hookimpl
def flownet_ops() -> list[type[Op]]:
    return [
        DiceLoss,
        FocalLoss,
        FocalTerm,
        LocalResponseNorm,
        Maxout,
        Mish,
        SpatialPyramidPool,
        Squash,
        SqueezeExcitation,
    ]
