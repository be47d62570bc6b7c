"""Mirror images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flownet.data.augmentation import Augmentation, spatial_fields
from flownet.data.counter_random import Draws
from flownet.data.split import Batch, Field
from flownet.errors import FlownetError

__all__ = ["Flip"]


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """The image and its mask mirrored, each example with the given probability.

    axis: `horizontal` exchanges left and right, `vertical` top and bottom
    """

    name = "flip"
    summary = "mirrors an image with probability 0.5"
    shorthand = "axis"

    axis: Literal["horizontal", "vertical"] = "horizontal"
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise FlownetError.of("bad-option", f"`probability` of `flip` is {self.probability}, expected 0 to 1")

    def fields_after(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        spatial_fields(self, fields)
        return fields

    def apply(self, batch: Batch, fields: Mapping[str, Field], draws: Draws) -> Batch:
        chosen = (draws.uniform()[:, 0] < self.probability).nonzero()[0]
        changed = dict(batch)
        for name in spatial_fields(self, fields):
            array = batch[name].copy()
            array[chosen] = array[chosen][..., ::-1] if self.axis == "horizontal" else array[chosen][..., ::-1, :]
            changed[name] = array
        return changed
