"""`float32[N, 3, 2*H]` -> TensorType: numbers, symbols and arithmetic on them."""

from __future__ import annotations

import ast
import re

from flownet.errors import FlownetError, near_names
from flownet.types import Dim, DType, Symbolic, TensorType

__all__ = ["read_dim", "read_type"]

_FORM = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\[(.*)\])?\s*", re.DOTALL)
_EXAMPLE = "write it like `float32[N, 1, 28, 28]`"


def read_type(text: str) -> TensorType:
    """The type that `text` spells.

    >>> str(read_type("float32[N, 3, 2*8]"))
    'float32[N, 3, 16]'

    Raises FlownetError: `bad-type`.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise FlownetError.of("bad-type", f"`{text}` is no tensor type", help=_EXAMPLE)
    name, dims = match[1], match[2]
    if name not in DType.__members__:
        known = ", ".join(DType.__members__)
        help = near_names(name, DType.__members__) or f"the element types are {known}"
        raise FlownetError.of("bad-type", f"there is no element type `{name}`", help=help)
    if dims is None:
        raise FlownetError.of("bad-type", f"`{text.strip()}` has no shape", help=f"{_EXAMPLE}; a scalar is `{name}[]`")
    return TensorType(DType(name), tuple(read_dim(dim) for dim in _split(dims)))


def _split(dims: str) -> list[str]:
    if not dims.strip():
        return []
    parts = dims.split(",")
    return parts[:-1] if not parts[-1].strip() else parts


def read_dim(text: str) -> Dim:
    """A size: a number above zero, a symbol, or arithmetic on them. Raises FlownetError: `bad-type`."""
    text = text.strip()
    try:
        if len(text) > 200:
            raise SyntaxError("it is too long")
        dim = _dim(ast.parse(text, mode="eval").body, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise FlownetError.of("bad-type", f"`{text}` is no size: {reason}", help=_EXAMPLE) from None
    if isinstance(dim, int) and not 0 < dim < 2**40:
        raise FlownetError.of("bad-type", f"a size has to be 1 or more, and below 2**40, got {dim}", help=_EXAMPLE)
    return dim


def _dim(node: ast.expr, depth: int) -> Dim:
    if depth > 20:
        raise ValueError("it is nested too deep")
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Constant(value=float() as value) if value.is_integer():  # `${width / 2}` put into the text
            return int(value)
        case ast.Name(id=name):
            return Symbolic.symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _dim(operand, depth + 1) * -1
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _dim(left, depth + 1), _dim(right, depth + 1)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.FloorDiv():
                    if b == 0:
                        raise ValueError("it divides by zero")
                    return (
                        (a if isinstance(a, Symbolic) else Symbolic({(): a})) // b
                        if isinstance(b, Symbolic)
                        else a // b
                    )
                case ast.Div():
                    raise ValueError("sizes are whole numbers: write `//`")
    raise ValueError(f"`{ast.unparse(node)}` has no meaning in a size")
