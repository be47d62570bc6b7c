"""Losses that are not elementwise."""

from __future__ import annotations

from math import prod

import numpy as np

from flownet.devices.opencl.lowerings.build import elementwise, ints, reduce, view
from flownet.passes.lower import Fallback

__all__ = ["LOWERINGS", "class_numbers", "with_class_axis"]


def class_numbers(g, classes, rank):
    """0, 1, … along axis 1 of `rank` axes."""
    return g.constant(np.arange(classes, dtype=np.float32).reshape((classes,) + (1,) * (rank - 2)))


def with_class_axis(g, target):
    """[n, …] as [n, 1, …]."""
    n, *rest = ints(target.type.shape)
    return view(g, target, (n, 1, *rest))


def _parts(op, g, logits, target):
    """(largest logit, sum of exponentials, class numbers, target, condition that an element counts, count)."""
    if not target.type.dtype.is_integer or getattr(op, "class_weights", None) is not None or getattr(op, "label_smoothing", 0):
        raise Fallback("`cross_entropy` has kernels for whole numbers as targets, without weights")
    largest = reduce(g, "max", "x", (1,), True, x=logits)
    total = reduce(g, "sum", "exp(x - m)", (1,), True, x=logits, m=largest)
    numbers = class_numbers(g, int(logits.type.shape[1]), logits.type.rank)
    t = with_class_axis(g, target)
    count = None
    if op.ignore_index is not None:
        one = g.constant(np.ones((), np.float32))
        count = reduce(g, "sum", f"where(t == {op.ignore_index}, 0, one)", tuple(range(t.type.rank)), t=t, one=one)
    return largest, total, numbers, t, count


def cross_entropy(op, g, logits, target, *rest):
    if any(value is not None for value in rest):
        raise Fallback("`cross_entropy` with weights has no kernels")
    m, s, numbers, t, count = _parts(op, g, logits, target)
    axes = tuple(range(logits.type.rank))
    each = "where(c == t, m + log(s) - x, 0)"
    if op.ignore_index is not None:
        each = f"where(t == {op.ignore_index}, 0, {each})"
    total = reduce(g, "sum", each, axes, c=numbers, t=t, m=m, s=s, x=logits)
    if count is None:
        return elementwise(g, f"x * {1 / prod(ints(target.type.shape))!r}", x=total)
    return elementwise(g, "x / maximum(n, 1)", x=total, n=count)


def cross_entropy_backward(gradient, g, logits, target, *rest):
    *weights, dy = rest
    if any(value is not None for value in weights):
        raise Fallback("`cross_entropy` with weights has no kernels")
    op = gradient.op
    m, s, numbers, t, count = _parts(op, g, logits, target)
    operands = {"x": logits, "m": m, "s": s, "c": numbers, "t": t, "dy": dy}
    each = "(exp(x - m) / s - (c == t))"
    if count is None:
        return elementwise(g, f"{each} * (dy * {1 / prod(ints(target.type.shape))!r})", **operands)
    return elementwise(g, f"where(t == {op.ignore_index}, 0, {each} * (dy / maximum(n, 1)))", n=count, **operands)


def squared_error(op, g, x, target):
    n = prod(ints(x.type.shape))
    total = reduce(g, "sum", "(x - t) * (x - t)", tuple(range(x.type.rank)), x=x, t=target)
    return elementwise(g, f"x * {0.5 / n!r}", x=total)


def squared_error_backward(gradient, g, x, target, dy):
    return elementwise(g, f"(x - t) * (dy * {1 / prod(ints(x.type.shape))!r})", x=x, t=target, dy=dy)


LOWERINGS = {
    "cross_entropy": cross_entropy,
    "cross_entropy.backward": cross_entropy_backward,
    "squared_error": squared_error,
    "squared_error.backward": squared_error_backward,
}
