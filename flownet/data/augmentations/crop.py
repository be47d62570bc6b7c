"""Cut windows out of padded images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from flownet.data.augmentation import Augmentation, filling, pad, spatial_fields
from flownet.data.augmentations.shift import cut
from flownet.data.counter_random import Draws
from flownet.data.split import Batch, Field
from flownet.errors import FlownetError

__all__ = ["Crop"]


@dataclass(frozen=True, kw_only=True)
class Crop(Augmentation):
    """A window of `size` out of the image and its mask, after `padding` pixels are put on every side; all equally
    likely.

    `{crop: {size: 32, padding: 4}}` is what He et al. 2015 (section 4.2) do on CIFAR-10.

    size: height and width, or one number for both
    fill: as for `shift`
    """

    name = "crop"
    summary = "cuts a window out of a padded image"
    shorthand = "size"

    size: int | tuple[int, int]
    padding: int = 0
    fill: float | Literal["edge"] = 0.0

    def __post_init__(self) -> None:
        if min(self.window) < 1:
            raise FlownetError.of("bad-option", f"`size` of `crop` is {self.size}, expected 1 or more")
        if self.padding < 0:
            raise FlownetError.of("bad-option", f"`padding` of `crop` is {self.padding}, expected 0 or more")

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of what is cut out."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def fields_after(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        after = dict(fields)
        for name, field in spatial_fields(self, fields).items():
            if self.padding:
                filling(self, field, self.fill)
            height, width = (side + 2 * self.padding for side in field.shape[-2:])
            if self.window[0] > height or self.window[1] > width:
                raise FlownetError.of(
                    "data-field",
                    f"`crop` of {list(self.window)} is larger than `{name}`, {[height, width]} with its padding",
                    help="make `size` smaller or `padding` larger",
                )
            after[name] = replace(field, shape=(*field.shape[:-2], *self.window))
        return after

    def apply(self, batch: Batch, fields: Mapping[str, Field], draws: Draws) -> Batch:
        spatial = spatial_fields(self, fields)
        height, width = next(iter(spatial.values())).shape[-2:]
        room = np.array([height, width]) + 2 * self.padding - np.array(self.window)
        rows, columns = draws.integers(0, int(room[0])), draws.integers(0, int(room[1]))
        offsets = np.concatenate([rows, columns], axis=1)
        changed = dict(batch)
        for name, field in spatial.items():
            array = batch[name]
            if self.padding:
                array = pad(array, self.padding, self.padding, filling(self, field, self.fill))
            changed[name] = cut(array, offsets, self.window)
        return changed
