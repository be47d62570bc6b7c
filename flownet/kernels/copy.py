"""Elements at other places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Copy", "Join"]


@dataclass(frozen=True)
class Copy(Op):
    """`y[i, j, …] = x[coordinates of (i, j, …)]`, `fill` where a coordinate is outside of x.

    shape:       of y
    coordinates: for each axis of x (offset, axis of y or None, step, divisor): offset + index · step // divisor
    gaps:        whether y has `fill`, not the element before, where the divisor leaves a rest

    Transposing, slicing, flipping, padding, repeating and enlarging are all of this kind:

    >>> Copy.transpose((2, 3), (1, 0)).forward(np.array([[1, 2, 3], [4, 5, 6]]))
    array([[1, 4],
           [2, 5],
           [3, 6]])
    """

    shape: tuple[int, ...]
    coordinates: tuple[tuple[int, int | None, int, int], ...]
    fill: float = 0.0
    gaps: bool = False

    name = "copy"
    category = "kernel"

    @classmethod
    def transpose(cls, shape: Sequence[int], axes: Sequence[int]) -> Copy:
        """Axis i of y is axis `axes[i]` of x, which has `shape`."""
        coordinates = [(0, list(axes).index(axis), 1, 1) for axis in range(len(shape))]
        return cls(tuple(shape[axis] for axis in axes), tuple(coordinates))

    @classmethod
    def slices(cls, starts: Sequence[int], shape: Sequence[int], steps: Sequence[int] = (), fill: float = 0.0) -> Copy:
        """From `starts`, `shape` many along each axis; negative starts and surplus ends give padding."""
        steps = steps or (1,) * len(shape)
        return cls(
            tuple(shape),
            tuple((start, i, step, 1) for i, (start, step) in enumerate(zip(starts, steps, strict=True))),
            fill,
        )

    @classmethod
    def spread(cls, shape: Sequence[int], steps: Sequence[int]) -> Copy:
        """x's elements at every `steps`-th place of `shape`, from 0 on, and zeros between them."""
        return cls(tuple(shape), tuple((0, i, 1, step) for i, step in enumerate(steps)), gaps=True)

    def infer(self, x: TensorType) -> TensorType:
        assert x.rank == len(self.coordinates), (str(self), str(x))
        return x.with_shape(*self.shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        index, inside = [], np.ones((1,) * len(self.shape), bool)
        for (offset, axis, step, divisor), size in zip(self.coordinates, x.shape, strict=True):
            if axis is None:
                at = np.full((1,) * len(self.shape), offset)
            else:
                form = [1] * len(self.shape)
                form[axis] = self.shape[axis]
                moved = (np.arange(self.shape[axis]) * step).reshape(form)
                at = offset + moved // divisor
                if self.gaps:
                    inside = inside & (moved % divisor == 0)
            inside = inside & (at >= 0) & (at < size)
            index.append(np.clip(at, 0, size - 1))
        picked = x[tuple(index)] if index else x
        return np.array(np.broadcast_to(np.where(inside, picked, x.dtype.type(self.fill)), self.shape))

    def flops(self, x: TensorType) -> int:
        return 0


@dataclass(frozen=True)
class Join(Op):
    """The inputs one behind the other along `axis`."""

    axis: int

    name = "join"
    category = "kernel"

    def infer(self, *x: TensorType) -> TensorType:
        total = sum(type_.shape[self.axis] for type_ in x)
        return x[0].with_shape(*x[0].shape[: self.axis], total, *x[0].shape[self.axis + 1 :])

    def forward(self, *x: np.ndarray) -> np.ndarray:
        return np.concatenate(x, self.axis)

    def flops(self, *x: TensorType) -> int:
        return 0
