"""Show images larger or smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flownet.data.augmentation import Augmentation, filling, spatial_fields
from flownet.data.counter_random import Draws
from flownet.data.split import Batch, Field
from flownet.errors import FlownetError

__all__ = ["Zoom"]


@dataclass(frozen=True, kw_only=True)
class Zoom(Augmentation):
    """The image and its mask scaled by a factor, each the same share of the example's, and a window of the old size out of it.

    Factors between the two of `factor` are equally likely on a logarithmic scale: half the size as often as double.
    A larger image is cut, a smaller one is filled around; every place is equally likely. Images are interpolated
    linearly between the centres of pixels, masks take the nearest pixel.

    factor: the smallest and the largest one, or one number for both
    fill:   as for `shift`
    """

    name = "zoom"
    summary = "shows an image larger or smaller"
    shorthand = "factor"

    factor: float | tuple[float, float]
    fill: float | Literal["edge"] = 0.0

    def __post_init__(self) -> None:
        least, most = self.factors
        if not 0 < least <= most < float("inf"):
            raise FlownetError.of(
                "bad-option", f"`factor` of `zoom` is {self.factor}, expected above 0, the smaller one first"
            )

    @property
    def factors(self) -> tuple[float, float]:
        """The smallest and the largest."""
        return self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)

    def fields_after(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        for field in spatial_fields(self, fields).values():
            if self.factors[0] < 1:
                filling(self, field, self.fill)
        return fields

    def apply(self, batch: Batch, fields: Mapping[str, Field], draws: Draws) -> Batch:
        least, most = self.factors
        factors = np.exp(np.log(least) + draws.uniform()[:, 0] * (np.log(most) - np.log(least)))
        places = draws.uniform(2)
        changed = dict(batch)
        for name, field in spatial_fields(self, fields).items():
            outside = filling(self, field, self.fill).get("constant_values") if least < 1 else None
            shown = _linear if field.kind == "image" else _nearest
            changed[name] = out = np.empty_like(batch[name])
            for example, (factor, (row, column)) in enumerate(zip(factors, places, strict=True)):
                rows, columns = (
                    _seen(side, factor, place) for side, place in zip(field.shape[-2:], (row, column), strict=True)
                )
                out[example] = shown(shown(batch[name][example], rows, -2), columns, -1)
                if outside is not None:
                    out[example][..., _is_outside(rows, field.shape[-2]), :] = outside
                    out[example][..., _is_outside(columns, field.shape[-1])] = outside
        return changed


def _seen(side: int, factor: float, place: float) -> np.ndarray:
    """Where in the old picture each pixel of the window's side looks, its centre, in pixels whose centres are at 0, 1, …"""
    start = place * (side - side / factor)  # of the window, from the old picture's border, in old pixels
    return start + (np.arange(side) + 0.5) / factor - 0.5


def _is_outside(seen: np.ndarray, side: int) -> np.ndarray:
    return (seen < -0.5) | (seen > side - 0.5)


def _linear(array: np.ndarray, seen: np.ndarray, axis: int) -> np.ndarray:
    """`array` between its pixels; its border goes on outside of it."""
    seen = np.clip(seen, 0, array.shape[axis] - 1)
    before = np.floor(seen).astype(np.intp)
    after = np.minimum(before + 1, array.shape[axis] - 1)
    share = (seen - before).astype(array.dtype).reshape((-1, 1) if axis == -2 else (-1,))
    first = array.take(before, axis)
    return np.asarray(first + share * (array.take(after, axis) - first))


def _nearest(array: np.ndarray, seen: np.ndarray, axis: int) -> np.ndarray:
    return array.take(np.clip(np.floor(seen + 0.5).astype(np.intp), 0, array.shape[axis] - 1), axis)
