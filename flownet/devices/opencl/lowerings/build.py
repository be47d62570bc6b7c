"""Short ways to write lowerings."""

from __future__ import annotations

from typing import Any

from flownet.expression import parse
from flownet.graph import Builder, Value
from flownet.kernels import Reduce, View
from flownet.op import Elementwise

__all__ = ["elementwise", "ints", "reduce", "view"]


def elementwise(g: Builder, text: str, **operands: Value) -> Value:
    """The value of one expression over operands."""
    return g.add(Elementwise((("y", parse(text)),), tuple(operands)), **operands)


def reduce(g: Builder, kind: str, text: str, axes: tuple[int, ...], keepdims: bool = False, **operands: Value) -> Value:
    """One expression over operands, reduced."""
    return g.add(Reduce((("y", kind, parse(text)),), tuple(operands), axes, keepdims), **operands)


def view(g: Builder, x: Value, shape: Any) -> Value:
    """The same elements in another shape."""
    shape = ints(shape)
    return x if x.type.shape == shape else g.add(View(shape), x)


def ints(shape: Any) -> tuple[int, ...]:
    return tuple(int(dim) for dim in shape)
