"""Expressions made smaller, for the passes that put them together."""

from __future__ import annotations

import math

import numpy as np

from flownet.expression import FUNCTIONS, Call, Expression, Number

__all__ = ["simplified", "size"]


def size(expression: Expression) -> int:
    """How many operations it has when written out as a tree."""
    return 1 + sum(map(size, expression.arguments)) if isinstance(expression, Call) else 0


def simplified(expression: Expression) -> Expression:
    """The expression with arithmetic on numbers done, and without factors of 1 and terms of 0."""
    if not isinstance(expression, Call):
        return expression
    arguments = tuple(simplified(argument) for argument in expression.arguments)
    if all(isinstance(argument, Number) for argument in arguments):
        with np.errstate(all="ignore"):
            result = float(FUNCTIONS[expression.function].numpy(*(a.value for a in arguments)))  # type: ignore[arg-type, union-attr]
        if math.isfinite(result):
            return Number(result)
    match expression.function, arguments:
        case "mul", (Number(value=1.0), other) | (other, Number(value=1.0)):
            return other
        case "mul", (Number(value=0.0), _) | (_, Number(value=0.0)):
            return Number(0.0)
        case "add", (Number(value=0.0), other) | (other, Number(value=0.0)):
            return other
        case ("sub", (other, Number(value=0.0))) | ("div", (other, Number(value=1.0))):
            return other
        case "where", (Number(value=truth), chosen, otherwise):
            return chosen if truth else otherwise
    return Call(expression.function, arguments)
