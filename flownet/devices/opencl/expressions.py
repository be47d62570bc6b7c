"""Elementwise expressions as OpenCL C over vectors: a list of steps, each one operation, equal ones once.

The steps are what `epilogue.evaluate` prints: names and C expressions, without declarations, so that the same text serves whole
vectors, half vectors and single floats. A truth value has no variable of its own (its C type differs between scalars and
vectors): comparisons are written where they are used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from flownet.expression import FUNCTIONS, Call, Expression, Name, Number

__all__ = ["as_scalars", "to_steps"]

_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def literal(value: float) -> str:
    """A float in C, in the width of a vector."""
    if math.isinf(value):
        return f"(vec)({'-' if value < 0 else ''}INFINITY)"
    if math.isnan(value):
        return "(vec)(NAN)"
    return f"(vec)({value!r}f)" if "e" in repr(value) or "." in repr(value) else f"(vec)({value!r}.0f)"


def to_steps(
    terms: Mapping[str, Expression], prefix: str = "t", scalars: Collection[str] = (), *, inline: bool = False
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """(steps, term -> the variable or operand that holds it). Operands go by their names; those in `scalars` are single floats.

    inline: write `exp`, `tanh` and `erf` out as arithmetic, for CPUs (see `_exponential`)
    """
    steps: list[tuple[str, str]] = []
    known: dict[Expression, str] = {}

    def step(text: str) -> str:
        steps.append((f"{prefix}{len(steps)}", text))
        return steps[-1][0]

    def value(expression: Expression) -> str:
        if inline and isinstance(expression, Call) and expression.function in _WRITTEN_OUT:
            expression = _WRITTEN_OUT[expression.function](expression.arguments[0])
        if isinstance(expression, Name):
            return f"((vec){expression.id})" if expression.id in scalars else expression.id
        if isinstance(expression, Number):
            return literal(expression.value)
        if expression not in known:
            if inline and expression.function == "exp":
                known[expression] = _exponential(value(expression.arguments[0]), step)
            else:
                text = operation(expression)
                known[expression] = step(text)
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
            case "maximum" | "minimum":
                return _extreme(">" if call.function == "maximum" else "<", call.arguments, a)
            case "abs":
                return f"({a[0]} < {literal(0.0)} ? -{a[0]} : {a[0]})"
            case "sign":
                return (
                    f"({a[0]} > {literal(0.0)} ? {literal(1.0)} : ({a[0]} < {literal(0.0)} ? {literal(-1.0)} : {a[0]}))"
                )
            case "pow":
                return _power(a[0], a[1], call.arguments[1])
        return FUNCTIONS[call.function].opencl.format(*a)

    found = {}
    for name, expression in terms.items():
        variable = value(expression)
        if isinstance(expression, Number):
            variable = step(literal(expression.value))
        found[name] = variable
    return steps, found


def _extreme(order: str, arguments: Sequence[Expression], a: Sequence[str]) -> str:
    """The larger (`>`) or smaller (`<`) of two, NaN where one is.

    With a number in front this is one instruction of the processor, which gives its second operand where one is NaN.
    """
    if isinstance(arguments[0], Number):
        return f"({a[0]} {order} {a[1]} ? {a[0]} : {a[1]})"
    if isinstance(arguments[1], Number):
        return f"({a[1]} {order} {a[0]} ? {a[1]} : {a[0]})"
    return f"((({a[0]} {order} {a[1]}) | ({a[0]} != {a[0]})) ? {a[0]} : {a[1]})"


def _exponential(x: str, step: Callable[[str], str]) -> str:
    """Steps of e^x = 2^n · e^r with n = round(x / ln 2): a polynomial in r, and n put into the exponent's bits.

    Written out, it takes whole vectors of 16 floats where a call takes 8 (see `target`), and nothing is passed through memory: 0.25 ns an
    element instead of 0.9. The polynomial is that of Cephes' `expf` (S. L. Moshier), good to 1e-7 of the result.

    Where x is too large, n stays 127 and the polynomial of what is left overflows by itself, exactly where e^x does; where x is
    too small, n is -127, whose bits are those of 0. The limits stand in front in both comparisons, so that NaN passes through.
    """
    t = step(f"({literal(-88.0)} > {x} ? {literal(-88.0)} : {x})")
    half = f"({t} < {literal(0.0)} ? {literal(-0.5)} : {literal(0.5)})"
    scaled = step(f"({t} * {literal(1.44269504)} + {half})")
    scaled = step(f"({literal(127.0)} < {scaled} ? {literal(127.0)} : {scaled})")
    n = step(f"__builtin_convertvector(__builtin_convertvector({scaled}, ivec), vec)")
    r = step(f"({t} - {n} * {literal(0.693359375)} + {n} * {literal(2.12194440e-4)})")
    p = literal(1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = step(f"({p} * {r} + {literal(coefficient)})")
    y = step(f"({p} * {r} * {r} + {r} + {literal(1.0)})")
    return step(f"({y} * __builtin_astype((__builtin_convertvector({n}, ivec) + 127) << 23, vec))")


def _call(function: str, *arguments: Expression | float) -> Call:
    return Call(function, tuple(Number(a) if isinstance(a, float) else a for a in arguments))


def _polynomial(x: Expression, *coefficients: float) -> Expression:
    """The highest power first."""
    p: Expression = Number(coefficients[0])
    for coefficient in coefficients[1:]:
        p = _call("add", _call("mul", p, x), coefficient)
    return p


def _odd(x: Expression, far: Expression, limit: float, near: Expression) -> Expression:
    """An odd function of x: `near` up to `limit`, beyond it `far`, which is of |x|, with x's sign."""
    signed = _call("where", _call("lt", x, 0.0), _call("neg", far), far)
    return _call("where", _call("lt", _call("abs", x), limit), near, signed)


def _tanh(x: Expression) -> Expression:
    """x · p(x²) / q(x²) up to 8, beyond which tanh is 1 to a float's last place: within 3e-7 everywhere.

    Half the work of 1 − 2 / (e^2x + 1), which needs a polynomial of its own near 0. The coefficients are those of Eigen's `generic_fast_tanh`.
    """
    t = _call("minimum", _call("maximum", x, -7.998811721801758), 7.998811721801758)
    square = _call("mul", t, t)
    p = _polynomial(
        square, -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
        6.37261928875436e-04, 4.89352455891786e-03,
    )  # fmt: skip
    q = _polynomial(square, 1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
    return _call("div", _call("mul", t, p), q)


def _erf(x: Expression) -> Expression:
    """1 - (a polynomial of 1 / (1 + p|x|)) · e^-x² (Abramowitz, Stegun 1964, 7.1.26: within 1.5e-7), near 0 the Taylor series.

    A driver's own is no alternative: Intel's is off by 7e-5 under -cl-fast-relaxed-math.
    """
    square = _call("mul", x, x)
    t = _call("div", 1.0, _call("add", 1.0, _call("mul", 0.3275911, _call("abs", x))))
    p = _polynomial(t, 1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    far = _call("sub", 1.0, _call("mul", _call("mul", t, p), _call("exp", _call("neg", square))))
    root = 2 / math.sqrt(math.pi)
    series = _polynomial(
        square, *(root * sign / n for sign, n in ((-1, 1320), (1, 216), (-1, 42), (1, 10), (-1, 3), (1, 1)))
    )
    return _odd(x, far, 0.5, _call("mul", x, series))


_WRITTEN_OUT: dict[str, Callable[[Expression], Expression]] = {"tanh": _tanh, "erf": _erf}


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
