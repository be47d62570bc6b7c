"""Metrics: counts that the host adds up over batches."""

from __future__ import annotations

from flownet.devices.opencl.lowerings.build import reduce, view
from flownet.devices.opencl.lowerings.loss import class_numbers, with_class_axis
from flownet.kernels import Join

__all__ = ["LOWERINGS"]

_BEYOND = 1 << 24  # above any class's number


def accuracy(op, g, logits, label):
    rank = logits.type.rank
    largest = reduce(g, "max", "x", (1,), True, x=logits)
    numbers = class_numbers(g, int(logits.type.shape[1]), rank)
    first = reduce(g, "min", f"where(x == m, c, {_BEYOND})", (1,), True, x=logits, m=largest, c=numbers)  # of equals, as argmax
    t = with_class_axis(g, label)
    axes = tuple(range(rank))
    ignored = "" if op.ignore_index is None else f"where(t == {op.ignore_index}, 0, %s)"
    right, counted = "where(f == t, 1, 0)", "where(f < -1, 0, 1)"
    right, counted = (ignored % text if ignored else text for text in (right, counted))
    a = reduce(g, "sum", right, axes, f=first, t=t)
    b = reduce(g, "sum", counted, axes, f=first, t=t)
    return g.add(Join(0), view(g, a, (1,)), view(g, b, (1,)))


LOWERINGS = {"accuracy": accuracy}
