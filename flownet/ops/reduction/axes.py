"""Which axes a reduction runs over, and what its result's shape is."""

from __future__ import annotations

from typing import Literal

from flownet.ops.requirements import resolve_axes
from flownet.types import Dim, TensorType

__all__ = ["Axes", "kept_shape", "numpy_axes", "reduced_axes", "reduced_type"]

Axes = int | tuple[int, ...] | Literal["all"]


def reduced_axes(op: str, axes: Axes, x: TensorType) -> tuple[int, ...]:
    """The axes counted from 0, ascending. Raises FlownetError for those that `x` has not."""
    if axes == "all":
        return tuple(range(x.rank))
    return resolve_axes(op, (axes,) if isinstance(axes, int) else axes, x)


def kept_shape(op: str, axes: Axes, x: TensorType) -> tuple[Dim, ...]:
    """The shape of `x` with 1 for what is reduced."""
    gone = reduced_axes(op, axes, x)
    return tuple(1 if axis in gone else dim for axis, dim in enumerate(x.shape))


def reduced_type(op: str, axes: Axes, keepdims: bool, x: TensorType) -> TensorType:
    """The type of the result."""
    gone = reduced_axes(op, axes, x)
    if keepdims:
        return x.with_shape(*kept_shape(op, axes, x))
    return x.with_shape(*(dim for axis, dim in enumerate(x.shape) if axis not in gone))


def numpy_axes(axes: Axes) -> int | tuple[int, ...] | None:
    """As NumPy's `axis`."""
    return None if axes == "all" else axes  # type: ignore[return-value]
