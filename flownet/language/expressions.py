"""`$name` and `${expression}`: arithmetic over variables, block arguments and the repeat index.

Python's own parser reads an expression, a whitelist walks its tree, and every step is bounded, so that `9**9**9` is an
error and not an evening. A scalar that is one expression keeps the type of its value; one inside a text becomes text.
`$$` is a dollar.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.language.report import Report
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Sequence, Tree, wrap, written

__all__ = ["FUNCTIONS", "Names", "evaluate", "resolve", "substitute"]

_LONGEST = 1000  # characters of an expression
_DEEPEST = 50  # levels of its tree
_LARGEST = 10**18
_LONGEST_TEXT = 10_000

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "int": int,
    "len": len,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_DOLLAR = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([^{}]*)\}|)")

Names = Mapping[str, Any]
"""What an expression may name. Looking a name up may itself raise FlownetError (a variable that is wrong)."""


def resolve(tree: Tree, names: Names, report: Report, stack: tuple[str, ...] = ()) -> Tree:
    """The tree with every expression replaced by its value; values of expressions that fail are marked as failed."""
    if not tree.dynamic:
        return tree
    match tree:
        case Scalar():
            try:
                return wrap(substitute(tree.text, names), tree)
            except FlownetError as error:
                report.failure(error, tree, stack=stack)
                return Scalar(tree.file, tree.place, None, "", failed=True)
        case Sequence():
            return Sequence(tree.file, tree.place, [resolve(item, names, report, stack) for item in tree.items])
        case TreeMapping():
            pairs = {}
            for key, value in tree.pairs.values():
                new_key = resolve(key, names, report, stack) if key.dynamic else key
                if isinstance(new_key, Scalar) and not new_key.failed:
                    pairs[new_key.text] = (new_key, resolve(value, names, report, stack))
            return TreeMapping(tree.file, tree.place, pairs)
    raise AssertionError(tree)


def substitute(text: str, names: Names) -> Any:
    """The value of a text with `$` in it: of any type when it is one expression, else a text.

    >>> substitute("$width", {"width": 6}), substitute("${2 * width}", {"width": 6}), substitute("c$w", {"w": 6})
    (6, 12, 'c6')

    Raises FlownetError: `unknown-variable`, `bad-expression`.
    """
    whole = _DOLLAR.fullmatch(text)
    if whole and whole[0] not in ("$$", "$"):
        return _one(whole, names)
    return _DOLLAR.sub(lambda match: _as_text(match, names), text)


def _one(match: re.Match, names: Names) -> Any:
    return _look_up(match[1], names) if match[1] else evaluate(match[2], names)


def _as_text(match: re.Match, names: Names) -> str:
    if match[0] == "$$":
        return "$"
    if match[0] == "$":
        raise FlownetError.of(
            "bad-expression",
            "a `$` stands here with no name behind it",
            help="write `$name`, `${expression}`, or `$$` for a dollar",
        )
    value = _one(match, names)
    if value is None or isinstance(value, list | dict):
        raise FlownetError.of("bad-expression", f"`{match[0]}` is {written(value)}, which cannot stand inside a text")
    return str(value).lower() if isinstance(value, bool) else str(value)


def evaluate(expression: str, names: Names) -> Any:
    """The value of an expression. Raises FlownetError: `unknown-variable`, `bad-expression`."""
    if len(expression) > _LONGEST:
        raise FlownetError.of(
            "bad-expression", f"an expression of {len(expression)} characters, at most {_LONGEST} are allowed"
        )
    if not expression.strip():
        raise FlownetError.of("bad-expression", "`${}` holds no expression")
    if "$" in expression:
        raise FlownetError.of(
            "bad-expression", f"`{expression}` has a `$` inside of `${{…}}`", help="names stand without `$` in there"
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deep"
        raise FlownetError.of("bad-expression", f"`{expression.strip()}` is no expression: {reason}") from None
    try:
        return _value(tree, names, 0)
    except ZeroDivisionError:
        raise FlownetError.of("bad-expression", f"`{expression.strip()}` divides by zero") from None
    except (TypeError, ValueError, OverflowError, IndexError, KeyError) as error:
        reason = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
        raise FlownetError.of("bad-expression", f"`{expression.strip()}` cannot be computed: {reason}") from None


def _look_up(name: str, names: Names) -> Any:
    try:
        return names[name]
    except KeyError:
        known = sorted(names)
        help = near_names(name, known) or (
            f"known here: {', '.join(f'`{n}`' for n in known)}" if known else "declare it in `vars:`"
        )
        raise FlownetError.of("unknown-variable", f"there is no variable `{name}` here", help=help) from None


def _value(node: ast.expr, names: Names, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    depth += 1
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return _bounded(value)
        case ast.Name(id=name):
            return _look_up(name, names)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, names, depth), _value(right, names, depth))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _value(left, names, depth), _value(right, names, depth)
            if not (_is_number(a) and _is_number(b)) and not (
                isinstance(op, ast.Add) and isinstance(a, str) and isinstance(b, str)
            ):
                raise TypeError(f"arithmetic takes numbers, got {written(a)} and {written(b)}")
            return _bounded(_BINARY[type(op)](a, b))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            value = _value(operand, names, depth)
            if not _is_number(value):
                raise TypeError(f"arithmetic takes numbers, got {written(value)}")
            return -value if isinstance(op, ast.USub) else value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names, depth)
        case ast.BoolOp(op=op, values=values):
            results = [_value(value, names, depth) for value in values]
            return all(results) if isinstance(op, ast.And) else any(results)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            operands = [_value(operand, names, depth) for operand in (left, *others)]
            pairs = zip(ops, operands[:-1], operands[1:], strict=True)
            return all(_COMPARE[type(op)](a, b) for op, a, b in pairs)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names, depth) else orelse, names, depth)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, names, depth) for item in items]
        case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Slice):
            return _value(value, names, depth)[_value(index, names, depth)]
        case ast.Attribute(value=value, attr=attribute):
            owner = _value(value, names, depth)
            if not isinstance(owner, dict):
                raise TypeError(f"{written(owner)} has no `.{attribute}`")
            return owner[attribute]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return _bounded(FUNCTIONS[name](*(_value(argument, names, depth) for argument in arguments)))
        case ast.Call(func=ast.Name(id=name)):
            help = near_names(name, FUNCTIONS) or f"the functions are {', '.join(FUNCTIONS)}"
            raise FlownetError.of("bad-expression", f"there is no function `{name}` in expressions", help=help)
    raise FlownetError.of(
        "bad-expression", f"`{ast.unparse(node)}` has no meaning in an expression",
        help=f"use numbers, names, + - * / // % **, comparisons, `a if b else c`, and {', '.join(FUNCTIONS)}",
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _power(base: Any, exponent: Any) -> Any:
    if not (_is_number(base) and _is_number(exponent)):
        raise TypeError(f"arithmetic takes numbers, got {written(base)} and {written(exponent)}")
    if abs(base) > 1 and exponent * math.log2(abs(base)) > 64:
        raise OverflowError("the power is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the root of a negative number")
    return _bounded(result)


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise OverflowError("the number is too large")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise OverflowError("the text is too long")
    return value
