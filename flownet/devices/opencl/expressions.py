"""Elementwise expressions as OpenCL C over vectors: a list of steps, each one operation, equal ones once.

The steps are what `epilogue.evaluate` prints: names and C expressions, without declarations, so that the same text serves whole
vectors, half vectors and single floats. A truth value has no variable of its own (its C type differs between scalars and
vectors): comparisons are written where they are used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from flownet.expression import FUNCTIONS, Call, Expression, Name, Number

__all__ = ["as_scalars", "to_steps"]

_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LARGEST = "3.402823466e38f"  # infinity's stand-in: built with -cl-finite-math-only


def literal(value: float) -> str:
    """A float in C, in the width of a vector."""
    if math.isinf(value):
        return f"(vec)({'-' if value < 0 else ''}{_LARGEST})"
    if math.isnan(value):
        return "(vec)(NAN)"
    return f"(vec)({value!r}f)" if "e" in repr(value) or "." in repr(value) else f"(vec)({value!r}.0f)"


def to_steps(
    terms: Mapping[str, Expression], prefix: str = "t", scalars: Collection[str] = ()
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """(steps, term -> the variable or operand that holds it). Operands go by their names; those in `scalars` are single floats."""
    steps: list[tuple[str, str]] = []
    known: dict[Expression, str] = {}

    def value(expression: Expression) -> str:
        if isinstance(expression, Name):
            return f"((vec){expression.id})" if expression.id in scalars else expression.id
        if isinstance(expression, Number):
            return literal(expression.value)
        if expression not in known:
            text = operation(expression)
            known[expression] = f"{prefix}{len(steps)}"
            steps.append((known[expression], text))
        return known[expression]

    def condition(expression: Expression) -> str:
        if isinstance(expression, Call) and expression.function in _COMPARISONS:
            a, b = map(value, expression.arguments)
            return f"{a} {_COMPARISONS[expression.function]} {b}"
        return f"{value(expression)} != {literal(0.0)}"

    def operation(call: Call) -> str:
        if call.function in _COMPARISONS:
            return f"({condition(call)} ? {literal(1.0)} : {literal(0.0)})"
        if call.function == "where":
            return f"({condition(call.arguments[0])} ? {value(call.arguments[1])} : {value(call.arguments[2])})"
        a = [value(argument) for argument in call.arguments]
        match call.function:
            case "maximum":
                return f"({a[0]} > {a[1]} ? {a[0]} : {a[1]})"
            case "minimum":
                return f"({a[0]} < {a[1]} ? {a[0]} : {a[1]})"
            case "abs":
                return f"({a[0]} < {literal(0.0)} ? -{a[0]} : {a[0]})"
            case "sign":
                return f"({a[0]} > {literal(0.0)} ? {literal(1.0)} : ({a[0]} < {literal(0.0)} ? {literal(-1.0)} : {literal(0.0)}))"
            case "pow":
                return _power(a[0], a[1], call.arguments[1])
        return FUNCTIONS[call.function].opencl.format(*a)

    found = {}
    for name, expression in terms.items():
        variable = value(expression)
        if isinstance(expression, Number):
            variable = f"{prefix}{len(steps)}"
            steps.append((variable, literal(expression.value)))
        found[name] = variable
    return steps, found


def as_scalars(expression: str, names: Collection[str]) -> str:
    """The C of one step for single floats; variables carry a `v_` as in `epilogue.evaluate`."""
    text = re.sub(r"\b([A-Za-z_]\w*)\b", lambda match: f"v_{match[1]}" if match[1] in names else match[1], expression)
    return re.sub(r"\bi?vec\b", "float", text)


def _power(x: str, y: str, exponent: Expression) -> str:
    """Small whole exponents as products: `pow` of negative numbers is not reliable under -cl-fast-relaxed-math."""
    if isinstance(exponent, Number) and exponent.value == int(exponent.value) and 0 <= abs(exponent.value) <= 8:
        n = int(abs(exponent.value))
        power = " * ".join([x] * n) if n else literal(1.0)
        return f"({literal(1.0)} / ({power}))" if exponent.value < 0 else f"({power})"
    if isinstance(exponent, Number) and exponent.value == 0.5:
        return f"sqrt({x})"
    if isinstance(exponent, Number) and exponent.value == -0.5:
        return f"({literal(1.0)} / sqrt({x}))"
    if isinstance(exponent, Number) and exponent.value == int(exponent.value):
        sign = f"({x} < {literal(0.0)} ? {literal(-1.0)} : {literal(1.0)}) * " if int(exponent.value) % 2 else ""
        return f"({sign}pow(({x} < {literal(0.0)} ? -{x} : {x}), {y}))"
    return f"pow({x}, {y})"
