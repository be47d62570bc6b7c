"""The built-in augmentations, one file each."""

from __future__ import annotations

from flownet.data.augmentation import Augmentation
from flownet.data.augmentations.crop import Crop
from flownet.data.augmentations.flip import Flip
from flownet.data.augmentations.shift import Shift
from flownet.data.augmentations.zoom import Zoom

__all__ = ["Crop", "Flip", "Shift", "Zoom", "builtin_augmentations"]


def builtin_augmentations() -> dict[str, type[Augmentation]]:
    """name -> class, for the registry's hook."""
    return {cls.name: cls for cls in (Crop, Flip, Shift, Zoom)}
