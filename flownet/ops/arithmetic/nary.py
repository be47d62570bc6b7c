"""One elementwise node over any number of operands, differentiable in each of them."""

from __future__ import annotations

from flownet.errors import FlownetError
from flownet.expression import Call, Expression, Name
from flownet.op import Elementwise, broadcast
from flownet.ops.requirements import require_float
from flownet.types import TensorType

__all__ = ["combined_type", "product", "total"]


def combined_type(op: str, types: tuple[TensorType, ...]) -> TensorType:
    """The type of the result of two or more operands of one floating-point type. Raises FlownetError."""
    if len(types) < 2:
        raise FlownetError.of(
            "missing-input", f"`{op}` takes two or more inputs, got {len(types)}", help="list them: `in: [a, b]`"
        )
    require_float(op, **{f"x{i}": type_ for i, type_ in enumerate(types)})
    return TensorType(types[0].dtype, broadcast(op, [type_.shape for type_ in types]))


def total(count: int) -> Elementwise:
    """x0 + x1 + …, from the left."""
    operands = _operands(count)
    gradients = tuple((operand, Name("dy")) for operand in operands)
    return Elementwise((("y", _chain("add", operands)),), operands, gradients)


def product(count: int) -> Elementwise:
    """x0 · x1 · …, from the left. The gradient multiplies the other operands: dividing y would fail at zero."""
    operands = _operands(count)
    gradients = tuple(
        (operand, _chain("mul", ("dy", *(other for other in operands if other != operand)))) for operand in operands
    )
    return Elementwise((("y", _chain("mul", operands)),), operands, gradients)


def _operands(count: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(count))


def _chain(function: str, operands: tuple[str, ...]) -> Expression:
    expression: Expression = Name(operands[0])
    for operand in operands[1:]:
        expression = Call(function, (expression, Name(operand)))
    return expression
