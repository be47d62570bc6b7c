"""Losses that are not elementwise."""

from __future__ import annotations

from math import prod

import numpy as np

from flownet.devices.opencl.lowerings.build import elementwise, ints, reduce, view
from flownet.kernels import InRange

__all__ = ["LOWERINGS", "class_numbers", "with_class_axis"]


def class_numbers(g, classes, rank):
    """0, 1, … along axis 1 of `rank` axes."""
    return g.constant(np.arange(classes, dtype=np.float32).reshape((classes,) + (1,) * (rank - 2)))


def with_class_axis(g, x):
    """[n, …] as [n, 1, …]."""
    n, *rest = ints(x.type.shape)
    return view(g, x, (n, 1, *rest))


class _Terms:
    """What the loss and its gradients share: texts over operands, which merge into the same nodes wherever they recur.

    −log p is `log(s) - minimum(x - m, 0)`: relaxed math may write log(s) − (x − m) as (m + log(s)) − x, which loses the
    logarithm's digits to a large m; it does not see through a minimum.

    q_c is the target distribution, with weights: `(1 − ε)·[c = t] + ε/C` or `(1 − ε)·t_c + ε/C`, times the class's weight, 0 for
    ignored elements.
    """

    def __init__(self, op, g, logits, target) -> None:
        self.op, self.g, self.logits = op, g, logits
        classes = int(logits.type.shape[1])
        self.soft = target.type.dtype.is_float
        largest = reduce(g, "max", "x", (1,), True, x=logits)
        total = reduce(g, "sum", "exp(x - m)", (1,), True, x=logits, m=largest)
        if not self.soft:
            target = with_class_axis(g, g.add(InRange(classes, op), target))
        self.operands = {"x": logits, "m": largest, "s": total, "t": target}
        smoothing = op.label_smoothing
        part = "t" if self.soft else "(c == t)"
        if not self.soft:
            self.operands["c"] = class_numbers(g, classes, logits.type.rank)
        self.q = f"({1 - smoothing!r} * {part} + {smoothing / classes!r})" if smoothing else part
        if op.class_weights is not None:
            weights = np.asarray(op.class_weights, np.float32).reshape((classes,) + (1,) * (logits.type.rank - 2))
            self.operands["w"] = g.constant(weights)
            self.q = f"(w * {self.q})"
        self.ignored = None if op.ignore_index is None else f"t == {op.ignore_index}"
        self.examples = prod(ints(logits.type.shape)) // classes

    def counting(self, text: str) -> str:
        return f"where({self.ignored}, 0, {text})" if self.ignored else text

    def divisor(self):
        """(text of the factor that makes a mean, operand) of what sums are divided by."""
        if self.op.reduction != "mean":
            return "1", {}
        if self.soft or (self.op.class_weights is None and not self.ignored):
            return repr(1 / self.examples), {}
        weight = "where(c == t, w, 0)" if self.op.class_weights is not None else "where(c == t, 1, 0)"
        wanted = {a: v for a, v in self.operands.items() if a in ("c", "t", "w")}
        total = reduce(self.g, "sum", self.counting(weight), tuple(range(self.logits.type.rank)), **wanted)
        return "(1 / where(n > 0, n, 1))", {"n": total}

    def over(self, text: str) -> dict:
        """The operands that a text may use."""
        from flownet.expression import names, parse

        return {a: v for a, v in self.operands.items() if a in names(parse(text))}


def cross_entropy(op, g, logits, target):
    terms = _Terms(op, g, logits, target)
    if terms.soft or op.class_weights is not None or op.label_smoothing:
        each = terms.counting(f"{terms.q} * (log(s) - minimum(x - m, 0))")
    else:
        each = terms.counting("where(c == t, log(s) - minimum(x - m, 0), 0)")
    if op.reduction == "none":
        return reduce(g, "sum", each, (1,), **terms.over(each))
    total = reduce(g, "sum", each, tuple(range(logits.type.rank)), **terms.over(each))
    factor, divisor = terms.divisor()
    return total if factor == "1" else elementwise(g, f"x * {factor}", x=total, **divisor)


def cross_entropy_backward(gradient, g, logits, target, dy):
    op = gradient.op
    terms = _Terms(op, g, logits, target)
    factor, divisor = terms.divisor()
    if op.reduction == "none":
        dy = with_class_axis(g, dy)
    if terms.soft or op.class_weights is not None:
        mass = "b"
        divisor = {**divisor, "b": reduce(g, "sum", terms.q, (1,), True, **terms.over(terms.q))}
    else:
        mass = "1"
    text = terms.counting(f"(exp(x - m) / s * {mass} - {terms.q}) * (dy * {factor})")
    return elementwise(g, text, **terms.over(text), **divisor, dy=dy)


def cross_entropy_backward_target(gradient, g, logits, target, dy):
    op = gradient.op
    terms = _Terms(op, g, logits, target)
    factor, divisor = terms.divisor()
    if op.reduction == "none":
        dy = with_class_axis(g, dy)
    weight = "w * " if op.class_weights is not None else ""
    text = f"{weight}(log(s) - minimum(x - m, 0)) * {1 - op.label_smoothing!r} * (dy * {factor})"
    return elementwise(g, text, **terms.over(text), **divisor, dy=dy)


def _mean_factor(op, x):
    return repr(1 / max(prod(ints(x.type.shape)), 1)) if op.reduction == "mean" else "1"


def binary_cross_entropy(op, g, logits, target):
    each, target = "maximum(z, 0) - z * t + log1p(exp(-abs(z)))", g.add(InRange(2, op), target)
    if op.reduction == "none":
        return elementwise(g, each, z=logits, t=target)
    total = reduce(g, "sum", each, tuple(range(logits.type.rank)), z=logits, t=target)
    return elementwise(g, f"x * {_mean_factor(op, logits)}", x=total)


def binary_cross_entropy_backward(gradient, g, logits, target, dy):
    probability, target = "where(z >= 0, 1, exp(-abs(z))) / (1 + exp(-abs(z)))", g.add(InRange(2, gradient.op), target)
    return elementwise(
        g, f"({probability} - t) * (dy * {_mean_factor(gradient.op, logits)})", z=logits, t=target, dy=dy
    )


def binary_cross_entropy_backward_target(gradient, g, logits, dy):
    return elementwise(g, f"-z * (dy * {_mean_factor(gradient.op, logits)})", z=logits, dy=dy)


LOWERINGS = {
    "cross_entropy": cross_entropy,
    "cross_entropy.backward": cross_entropy_backward,
    "cross_entropy.backward_target": cross_entropy_backward_target,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy.backward": binary_cross_entropy_backward,
    "binary_cross_entropy.backward_target": binary_cross_entropy_backward_target,
}
