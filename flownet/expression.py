"""Elementwise expressions: what an op computes at every element, written once and compiled for every device.

The text is Python's arithmetic over named operands (`where(x > 0, x, slope * x)`), read by Python's own parser through a
whitelist. The tree has three kinds of node, operators being functions too, so that whoever compiles it handles `Name`,
`Number` and `Call` and nothing else. A comparison gives a truth value that counts as 1 or 0 in arithmetic.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flownet.erf import erf
from flownet.errors import FlownetError, near_names

__all__ = [
    "COMPARISONS",
    "FUNCTIONS",
    "Call",
    "Expression",
    "Function",
    "Name",
    "Number",
    "evaluate",
    "names",
    "number_type",
    "parse",
    "substitute",
]


@dataclass(frozen=True, slots=True)
class Name:
    """An operand."""

    id: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Number:
    """A constant; it takes the element type of what it meets."""

    value: float

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS` applied to expressions."""

    function: str
    arguments: tuple[Expression, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


Expression = Name | Number | Call


@dataclass(frozen=True)
class Function:
    """A function of the expression language: how many arguments, and what it means in NumPy.

    `opencl` is a template over `{0}`, `{1}` … for OpenCL C, on scalars and vectors alike; "" where a device's code
    generator prints it specially (comparisons and `where`, whose truth values differ between scalars and vectors).
    `flops` is its cost as `flownet describe` counts it: one for every function, so that counts compare with the papers'.
    """

    arity: int
    numpy: Callable[..., object]
    opencl: str
    flops: int = 1


FUNCTIONS: dict[str, Function] = {
    "add": Function(2, np.add, "({0} + {1})"),
    "sub": Function(2, np.subtract, "({0} - {1})"),
    "mul": Function(2, np.multiply, "({0} * {1})"),
    "div": Function(2, np.true_divide, "({0} / {1})"),
    "pow": Function(2, np.power, "pow({0}, {1})"),
    "neg": Function(1, np.negative, "(-{0})"),
    "abs": Function(1, np.abs, "fabs({0})"),
    "sign": Function(1, np.sign, "sign({0})"),
    "exp": Function(1, np.exp, "exp({0})"),
    "expm1": Function(1, np.expm1, "expm1({0})"),
    "log": Function(1, np.log, "log({0})"),
    "log1p": Function(1, np.log1p, "log1p({0})"),
    "sqrt": Function(1, np.sqrt, "sqrt({0})"),
    "sin": Function(1, np.sin, "sin({0})"),
    "cos": Function(1, np.cos, "cos({0})"),
    "tanh": Function(1, np.tanh, "tanh({0})"),
    "erf": Function(1, erf, "erf({0})"),
    "floor": Function(1, np.floor, "floor({0})"),
    "maximum": Function(2, np.maximum, "fmax({0}, {1})"),
    "minimum": Function(2, np.minimum, "fmin({0}, {1})"),
    "lt": Function(2, np.less, ""),
    "le": Function(2, np.less_equal, ""),
    "gt": Function(2, np.greater, ""),
    "ge": Function(2, np.greater_equal, ""),
    "eq": Function(2, np.equal, ""),
    "ne": Function(2, np.not_equal, ""),
    "where": Function(3, np.where, ""),
}

COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})

_OPERATORS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.USub: "neg",
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """The expression that `text` spells.

    >>> str(parse("x * (1 - x)"))
    'mul(x, sub(1.0, x))'

    Raises FlownetError (`bad-expression`) for what is not arithmetic over names, numbers and `FUNCTIONS`.
    """
    try:
        return _convert(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise FlownetError.of("bad-expression", f"`{text}` is no expression: {error.msg}") from None


def _convert(node: ast.expr) -> Expression:
    match node:
        case ast.Name(id=name):
            return Name(name)
        case ast.Constant(value=bool() | int() | float() as value):
            return Number(float(value))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return Call(_OPERATORS[type(op)], (_convert(left), _convert(right)))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return Number(-float(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Call("neg", (_convert(operand),))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return Call(_OPERATORS[type(op)], (_convert(left), _convert(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            function = FUNCTIONS.get(name)
            if function is None:
                raise FlownetError.of(
                    "bad-expression", f"there is no function `{name}` in elementwise expressions",
                    help=near_names(name, FUNCTIONS) or f"known functions: {', '.join(FUNCTIONS)}",
                )  # fmt: skip
            if len(arguments) != function.arity:
                raise FlownetError.of(
                    "bad-expression", f"`{name}` takes {function.arity} arguments, got {len(arguments)}"
                )
            return Call(name, tuple(map(_convert, arguments)))
    raise FlownetError.of(
        "bad-expression", f"`{ast.unparse(node)}` has no meaning in an elementwise expression",
        help=f"use numbers, operands, + - * / **, one comparison at a time, and {', '.join(FUNCTIONS)}",
    )  # fmt: skip


def names(expression: Expression) -> tuple[str, ...]:
    """The operands, each once, in the order in which they are met."""
    found: dict[str, None] = {}

    def visit(node: Expression) -> None:
        if isinstance(node, Name):
            found[node.id] = None
        elif isinstance(node, Call):
            for argument in node.arguments:
                visit(argument)

    visit(expression)
    return tuple(found)


def substitute(expression: Expression, replacements: Mapping[str, Expression]) -> Expression:
    """The expression with operands replaced by expressions: how two elementwise nodes become one."""
    match expression:
        case Name(id=name):
            return replacements.get(name, expression)
        case Call(function=function, arguments=arguments):
            return Call(function, tuple(substitute(argument, replacements) for argument in arguments))
    return expression


def evaluate(expression: Expression, operands: Mapping[str, object]) -> object:
    """The value under NumPy's rules, numbers taking the element type of the arrays that they meet."""
    match expression:
        case Name(id=name):
            return operands[name]
        case Number(value=value):
            return value
        case Call(function=function, arguments=arguments):
            values = [evaluate(argument, operands) for argument in arguments]
            result = FUNCTIONS[function].numpy(*values)
            return np.asarray(result, number_type(values)) if function in COMPARISONS else result
    raise AssertionError(expression)


def number_type(compared: Sequence[object]) -> np.dtype:
    """The element type of a comparison's 1 or 0, that of what it compares: NumPy's own truth values would add up by `or`."""
    dtype = np.result_type(*compared)  # type: ignore[arg-type]
    return np.dtype(np.float32) if dtype == np.bool_ else dtype
