"""Metrics: counts that the host adds up over batches."""

from __future__ import annotations

from math import prod

import numpy as np

from flownet.devices.opencl.lowerings.build import ints, reduce, view
from flownet.devices.opencl.lowerings.loss import class_numbers, with_class_axis
from flownet.kernels import Cast, InRange, Join
from flownet.types import DType

__all__ = ["LOWERINGS"]

_BEYOND = 1 << 24  # above any class's number


def _first_largest(g, logits):
    """The number of the largest score along axis 1, of equal ones the first: float32[n, 1, …]."""
    largest = reduce(g, "max", "x", (1,), True, x=logits)
    numbers = class_numbers(g, int(logits.type.shape[1]), logits.type.rank)
    return reduce(g, "min", f"where(x == m, c, {_BEYOND})", (1,), True, x=logits, m=largest, c=numbers)


def _share(g, right, ignore_index, **operands):
    """[how many are right, how many count]; `like` is a float of the full shape."""
    rank = max(value.type.rank for value in operands.values())
    axes = tuple(range(rank))
    counted = "where(like < like, 0, 1)"
    if ignore_index is not None:
        right, counted = (f"where(t == {ignore_index}, 0, {text})" for text in (right, counted))
    a = reduce(g, "sum", right, axes, **operands)
    b = reduce(g, "sum", counted, axes, **{n: v for n, v in operands.items() if n in ("like", "t")})
    return g.add(Join(0), view(g, a, (1,)), view(g, b, (1,)))


def accuracy(op, g, logits, label):
    return _share(
        g, "where(like == t, 1, 0)", op.ignore_index, like=_first_largest(g, logits), t=with_class_axis(g, label)
    )


def binary_accuracy(op, g, logits, target):
    return _share(g, f"where((like > {op.threshold!r}) == (t > 0.5), 1, 0)", None, like=logits, t=target)


def top_k_accuracy(op, g, logits, label):
    rank = logits.type.rank
    classes = int(logits.type.shape[1])
    numbers = class_numbers(g, classes, rank)
    t = with_class_axis(g, label)
    score = reduce(g, "sum", "where(c == t, x, 0)", (1,), True, x=logits, c=numbers, t=t)
    before = reduce(g, "sum", "where(x > s, 1, where(x == s, c < t, 0))", (1,), True, x=logits, s=score, c=numbers, t=t)
    right = f"where(like < {op.k}, where(t >= 0, t < {classes}, 0), 0)"
    return _share(g, right, op.ignore_index, like=before, t=t)


def confusion_matrix(op, g, logits, label):
    classes = int(logits.type.shape[1])
    count = prod(ints(label.type.shape))
    found = view(g, _first_largest(g, logits), (1, 1, count))
    t = view(g, g.add(InRange(classes, op), label), (1, 1, count))
    rows = g.constant(np.arange(classes, dtype=np.float32).reshape(-1, 1, 1))
    columns = g.constant(np.arange(classes, dtype=np.float32).reshape(1, -1, 1))
    text = "where(t == r, f == c, 0)"
    if op.ignore_index is not None:
        text = f"where(t == {op.ignore_index}, 0, {text})"
    return g.add(Cast(DType.int64), reduce(g, "sum", text, (2,), t=t, f=found, r=rows, c=columns))


LOWERINGS = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "top_k_accuracy": top_k_accuracy,
    "confusion_matrix": confusion_matrix,
    "mean_iou": confusion_matrix,
}
