"""slice: a part of a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.requirements import bad_attribute, resolve_axis
from flownet.ops.shape.pad import Pad
from flownet.types import Dim, Symbolic, TensorType, bind

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Slice"]

Index = int | Symbolic


@dataclass(frozen=True)
class Slice(Op):
    """A part of the input: along each of `axes` the elements start, start + step, … before end, as Python slices.

    starts: the first index of each axis; negative counts from the end
    ends:   one past the last index of each axis; negative counts from the end, `null` is the end; what lies behind
            it is cut off
    axes:   the axes; absent: the first ones
    steps:  the steps, absent: 1; negative runs backwards (then `starts: [-1], ends: [null]` is the whole axis)

    Shapes: float32[n, 10] with starts [2], ends [8], axes [1], steps [2] -> float32[n, 3].
    Gradient: dx is dy at these places, and 0 elsewhere.
    """

    starts: tuple[Index, ...]
    ends: tuple[Index | None, ...]
    axes: tuple[int, ...] | None = None
    steps: tuple[int, ...] | None = None

    name = "slice"
    category = "shape"

    def checked(self) -> None:
        for attribute in ("ends", "axes", "steps"):
            value = getattr(self, attribute)
            if value is not None and len(value) != len(self.starts):
                raise bad_attribute(
                    self.name, attribute, f"as long as `starts`, which has {len(self.starts)}", list(value)
                )
        if self.steps is not None and 0 in self.steps:
            raise bad_attribute(self.name, "steps", "without 0", list(self.steps))

    def infer(self, x: TensorType) -> TensorType:
        shape: list[Dim] = list(x.shape)
        for axis, start, end, step in self._ranges(x):
            shape[axis] = _length(start, end, step, axis, x)
        return x.with_shape(*shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x[self._index(x.ndim)]

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """For steps other than 1; with steps of 1 `gradient` makes a `pad`, which does not keep x."""
        dx = np.zeros_like(x)
        dx[self._index(x.ndim)] = dy
        return dx

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        x, y = inputs["x"].type, douts["y"].type
        open_size = not x.is_concrete or any(isinstance(index, Symbolic) for index in (*self.starts, *self.ends))
        if open_size or any(step != 1 for step in self.steps or ()):
            return super().gradient(g, inputs, outputs, douts, wrt)
        before, after = [0] * x.rank, [0] * x.rank
        for axis, start, _, _ in self._ranges(x):
            size = int(x.shape[axis])  # type: ignore[arg-type]
            before[axis] = slice(start, None).indices(size)[0]
            after[axis] = size - before[axis] - int(y.shape[axis])  # type: ignore[arg-type]
        return {"x": g.add(Pad(tuple(zip(before, after, strict=True))), douts["y"])}

    def bind(self, sizes: Mapping[str, int]) -> Slice:
        starts = tuple(bind(start, sizes) for start in self.starts)
        return replace(self, starts=starts, ends=tuple(None if end is None else bind(end, sizes) for end in self.ends))

    def flops(self) -> Dim:
        return 0

    def _ranges(self, x: TensorType) -> list[tuple[int, Dim, Dim | None, int]]:
        """(axis, start, end, step)"""
        axes = range(len(self.starts)) if self.axes is None else self.axes
        resolved = [resolve_axis(self.name, axis, x) for axis in axes]
        if len(set(resolved)) != len(resolved):
            raise FlownetError.of("bad-attribute", f"`axes` of `slice` names an axis twice: {list(axes)}")
        steps = (1,) * len(self.starts) if self.steps is None else self.steps
        return list(zip(resolved, self.starts, self.ends, steps, strict=True))

    def _index(self, rank: int) -> tuple[slice, ...]:
        index = [slice(None)] * rank
        axes = range(len(self.starts)) if self.axes is None else self.axes
        steps = (1,) * len(self.starts) if self.steps is None else self.steps
        for axis, start, end, step in zip(axes, self.starts, self.ends, steps, strict=True):
            index[axis] = slice(start, end, step)
        return tuple(index)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]]
        yield Sample(cls((1, -3), (3, -1)), {"x": x}, {"y": [[6.0, 7.0], [10.0, 11.0]]})
        yield Sample(
            cls((-1,), (None,), (1,), (-2,)), {"x": x}, {"y": [[4.0, 2.0], [8.0, 6.0], [12.0, 10.0]]}, note="backwards"
        )
        yield Sample(
            cls((2,), (100,), (-1,)), {"x": x}, {"y": [[3.0, 4.0], [7.0, 8.0], [11.0, 12.0]]}, note="cut at the end"
        )


def _length(start: Dim, end: Dim | None, step: int, axis: int, x: TensorType) -> Dim:
    """The number of elements. Raises FlownetError where it depends on a size that is a symbol still."""
    size = x.shape[axis]
    if isinstance(size, int) and isinstance(start, int) and (end is None or isinstance(end, int)):
        return len(range(*slice(start, end, step).indices(size)))
    cut_off = isinstance(size, Symbolic) and isinstance(end, int) and end > 0
    if step < 0 or cut_off or (isinstance(size, Symbolic) and isinstance(start, int) and start < 0):
        raise FlownetError.of(
            "shape-mismatch",
            f"`slice` cannot tell how much of axis {axis} of {x} it takes, as `{size}` is not known",
            help="there, count starts from the front and ends from the back (`starts: [1], ends: [-1]`)",
        )
    last = size if end is None else end + size if isinstance(end, int) and end < 0 else end
    first = start + size if isinstance(start, int) and start < 0 else start
    return (last - first + step - 1) // step
