"""Activations that are not elementwise."""

from __future__ import annotations

from flownet.devices.opencl.lowerings.build import elementwise, reduce

__all__ = ["LOWERINGS"]


def softmax(op, g, x):
    axis = (op.axis % x.type.rank,)
    largest = reduce(g, "max", "x", axis, True, x=x)
    e = elementwise(g, "exp(x - m)", x=x, m=largest)
    return elementwise(g, "e / s", e=e, s=reduce(g, "sum", "e", axis, True, e=e))


def softmax_backward(gradient, g, y, dy):
    axis = (gradient.op.axis % y.type.rank,)
    return elementwise(g, "y * (dy - s)", y=y, dy=dy, s=reduce(g, "sum", "dy * y", axis, True, dy=dy, y=y))


def log_softmax(op, g, x):
    axis = (op.axis % x.type.rank,)
    largest = reduce(g, "max", "x", axis, True, x=x)
    total = reduce(g, "sum", "exp(x - m)", axis, True, x=x, m=largest)
    # x − m is at most 0; the minimum keeps relaxed math from adding m and log(s) first, whose sum drops log(s)'s digits
    return elementwise(g, "minimum(x - m, 0) - log(s)", x=x, m=largest, s=total)


def log_softmax_backward(gradient, g, y, dy):
    axis = (gradient.op.axis % y.type.rank,)
    return elementwise(g, "dy - exp(y) * s", y=y, dy=dy, s=reduce(g, "sum", "dy", axis, True, dy=dy))


LOWERINGS = {
    "softmax": softmax,
    "softmax.backward": softmax_backward,
    "log_softmax": log_softmax,
    "log_softmax.backward": log_softmax_backward,
}
