"""Move images by whole pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flownet.data.augmentation import Augmentation, filling, pad, spatial_fields
from flownet.data.counter_random import Draws
from flownet.data.split import Batch, Field
from flownet.errors import FlownetError

__all__ = ["Shift"]


@dataclass(frozen=True, kw_only=True)
class Shift(Augmentation):
    """The image and its mask moved by up to `pixels` in each direction, whole pixels, every distance equally likely.

    fill: what comes in at the border: a number (in the units of the standardised image, if it is), or `edge` to repeat
          the border. A mask gets its class for "no label"; one that has none needs `edge`.
    """

    name = "shift"
    summary = "moves an image by up to so many pixels"
    shorthand = "pixels"

    pixels: int
    fill: float | Literal["edge"] = 0.0

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise FlownetError.of("bad-option", f"`pixels` of `shift` is {self.pixels}, expected 1 or more")

    def fields_after(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        for name, field in spatial_fields(self, fields).items():
            filling(self, field, self.fill)
            if self.pixels >= min(field.shape[-2:]):
                raise FlownetError.of(
                    "data-field",
                    f"`shift` by {self.pixels} pixels moves `{name}` of {list(field.shape[-2:])} out of sight",
                )
        return fields

    def apply(self, batch: Batch, fields: Mapping[str, Field], draws: Draws) -> Batch:
        offsets = draws.integers(0, 2 * self.pixels, 2)
        changed = dict(batch)
        for name, field in spatial_fields(self, fields).items():
            changed[name] = cut(
                pad(batch[name], self.pixels, self.pixels, filling(self, field, self.fill)), offsets, field.shape[-2:]
            )
        return changed


def cut(array: np.ndarray, offsets: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """From each example of `array[n, …, h, w]` the window of `size` whose corner is at its row of `offsets[n, 2]`."""
    height, width = size
    out = np.empty((*array.shape[:-2], height, width), array.dtype)
    for example, (top, left) in enumerate(offsets.tolist()):
        out[example] = array[example, ..., top : top + height, left : left + width]
    return out
