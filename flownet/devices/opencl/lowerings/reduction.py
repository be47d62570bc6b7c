"""Reductions over axes."""

from __future__ import annotations

from flownet.devices.opencl.lowerings.build import elementwise, ints, reduce, view
from flownet.ops.reduction.axes import kept_shape, reduced_axes
from flownet.passes.lower import Fallback, stretched

__all__ = ["LOWERINGS"]


def _reduced(kind):
    def lowering(op, g, x):
        axes = reduced_axes(op.name, op.axes, x.type)
        if not x.type.dtype.is_float:
            raise Fallback(f"`{op.name}` of {x.type} has no kernels")
        if not axes:
            return elementwise(g, "x", x=x)
        return reduce(g, kind, "x", axes, op.keepdims, x=x)

    return lowering


def mean(op, g, x):
    axes = reduced_axes(op.name, op.axes, x.type)
    count = 1
    for axis in axes:
        count *= x.type.shape[axis]
    total = reduce(g, "sum", "x", axes, op.keepdims, x=x) if axes else x
    return elementwise(g, f"x * {1 / count!r}", x=total)


def max_backward(gradient, g, x, y, dy):
    op = gradient.op
    axes = reduced_axes(op.name, op.axes, x.type)
    kept = ints(kept_shape(op.name, op.axes, x.type))
    y, dy = view(g, y, kept), view(g, dy, kept)
    if not axes:
        return elementwise(g, "dy", dy=dy)
    count = reduce(g, "sum", "x == y", axes, True, x=x, y=y)
    return elementwise(g, "where(x == y, dy / count, 0)", x=x, y=y, dy=dy, count=count)


def mean_backward(gradient, g, x, dy):
    axes = reduced_axes(gradient.op.name, gradient.op.axes, x.type)
    kept = view(g, dy, ints(kept_shape(gradient.op.name, gradient.op.axes, x.type)))
    count = 1
    for axis in axes:
        count *= x.type.shape[axis]
    return stretched(g, elementwise(g, f"x * {1 / count!r}", x=kept), ints(x.type.shape))


LOWERINGS = {
    "sum": _reduced("sum"),
    "max": _reduced("max"),
    "mean": mean,
    "max.backward": max_backward,
    "mean.backward": mean_backward,
}
