"""Products with matrices and rows of tables."""

from __future__ import annotations

from math import prod

from flownet.devices.opencl.lowerings.build import elementwise, reduce, view
from flownet.kernels import Gather, InRange, MatMul, ScatterAdd
from flownet.op import SumTo
from flownet.passes.lower import stretched

__all__ = ["LOWERINGS"]


def _rows(g, x):
    """All leading axes as one."""
    return view(g, x, (prod(x.type.shape[:-1]), x.type.shape[-1]))


def dense(op, g, x, weight, bias):
    y = g.add(MatMul(transposed_b=True), _rows(g, x), weight)
    if bias is not None:
        y = elementwise(g, "y + b", y=y, b=bias)
    return view(g, y, (*x.type.shape[:-1], op.units))


def dense_backward_x(gradient, g, weight, dy):
    dx = g.add(MatMul(), _rows(g, dy), weight)
    return view(g, dx, (*dy.type.shape[:-1], weight.type.shape[1]))


def dense_backward_weight(gradient, g, x, dy):
    return g.add(MatMul(transposed_a=True), _rows(g, dy), _rows(g, x))


def dense_backward_bias(gradient, g, dy):
    return reduce(g, "sum", "x", (0,), x=_rows(g, dy))


def _batched(g, a, b, transposed_a=False, transposed_b=False):
    """A product of two stacks of matrices, whose leading axes broadcast."""
    lead_a, lead_b = a.type.shape[:-2], b.type.shape[:-2]
    if not lead_a and not lead_b:
        return g.add(MatMul(transposed_a, transposed_b), a, b)
    from flownet.op import broadcast

    lead = broadcast("matmul", [lead_a, lead_b])
    if lead_a:
        a = stretched(g, a, (*lead, *a.type.shape[-2:]))
        a = view(g, a, (prod(lead), *a.type.shape[-2:]))
    if lead_b:
        b = stretched(g, b, (*lead, *b.type.shape[-2:]))
        b = view(g, b, (prod(lead), *b.type.shape[-2:]))
    y = g.add(MatMul(transposed_a, transposed_b), a, b)
    return view(g, y, (*lead, *y.type.shape[-2:]))


def matmul(op, g, a, b):
    return _batched(g, a, b)


def _summed(g, value, shape):
    from flownet.passes.lower import _sum_to

    return value if value.type.shape == shape else _sum_to(g, SumTo(shape), value)


def matmul_backward_a(gradient, g, a, b, dy):
    return _summed(g, _batched(g, dy, b, transposed_b=True), a.type.shape)


def matmul_backward_b(gradient, g, a, b, dy):
    return _summed(g, _batched(g, a, dy, transposed_a=True), b.type.shape)


def embedding(op, g, indices, weight):
    return g.add(Gather(), weight, g.add(InRange(op.rows, op), indices))


def embedding_backward_weight(gradient, g, indices, weight, dy):
    return g.add(ScatterAdd(weight.type.shape[0]), dy, indices)


LOWERINGS = {
    "dense": dense,
    "dense.backward_x": dense_backward_x,
    "dense.backward_weight": dense_backward_weight,
    "dense.backward_bias": dense_backward_bias,
    "matmul": matmul,
    "matmul.backward_a": matmul_backward_a,
    "matmul.backward_b": matmul_backward_b,
    "embedding": embedding,
    "embedding.backward_weight": embedding_backward_weight,
}
