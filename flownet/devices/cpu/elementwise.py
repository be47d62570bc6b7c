"""Elementwise expressions as straight lists of NumPy calls into preallocated arrays.

The expressions of a node are one directed acyclic graph: equal subexpressions are computed once. Every call writes into
scratch memory that all steps of a program share (they run one behind the other), the last one into the node's output. A
temporary that nobody reads any more gives its memory to the next, which may be written over it while it is read: less memory, and of it more in
the caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType

import numpy as np

from flownet.expression import COMPARISONS, FUNCTIONS, Call, Expression, Name, Number, number_type

__all__ = ["Scratch", "compile_elementwise"]


class Scratch:
    """Temporary arrays by number; number `i` is the same memory for every step that asks for it."""

    def __init__(self) -> None:
        self._bytes: dict[int, np.ndarray] = {}
        self.nbytes = 0

    def array(self, number: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        held = self._bytes.get(number)
        if held is None or held.nbytes < needed:
            self.nbytes += needed - (0 if held is None else held.nbytes)
            held = self._bytes[number] = np.empty(needed, np.uint8)
        return held[:needed].view(dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class _Temporary:
    """An array that has no place in the scratch memory yet."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


_Calls = Sequence[tuple[Callable[..., object], tuple[object, ...]]]


def compile_elementwise(
    expressions: Mapping[str, Expression],
    operands: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    scratch: Scratch,
) -> Callable[[], None]:
    """A function of no arguments that computes `expressions` over `operands` into `outputs`.

    An output may share its memory with an operand (an update in place): then it is written when nobody reads the
    operand any more.
    """
    calls: list[tuple[Callable[..., object], tuple[object, ...]]] = []
    computed: dict[Expression, object] = {}
    conditions: dict[Expression, object] = {}  # comparisons that only choose stay truth values: a quarter of the bytes
    late: list[tuple[np.ndarray, np.ndarray]] = []
    remaining = list(expressions)

    def result_of(expression: Expression, out: np.ndarray | None = None, chooses: bool = False) -> object:
        if isinstance(expression, Name):
            return operands[expression.id]
        if isinstance(expression, Number):
            return expression.value
        known = conditions if chooses and expression.function in COMPARISONS else computed
        if expression in known:
            return known[expression]
        arguments = tuple(
            result_of(argument, chooses=expression.function == "where" and i == 0)
            for i, argument in enumerate(expression.arguments)
        )
        function = FUNCTIONS[expression.function].numpy
        kinds = tuple(a.dtype if isinstance(a, np.ndarray | _Temporary) else type(a) for a in arguments)
        dtype = _result_type(expression.function, kinds, known is conditions)
        shape = np.broadcast_shapes(*(a.shape for a in arguments if isinstance(a, np.ndarray | _Temporary)))
        fits = out is not None and dtype == out.dtype and shape == out.shape
        if fits and expression.function == "where":  # it writes twice, and so must not overwrite what it reads
            fits = not any(isinstance(a, np.ndarray) and np.may_share_memory(a, out) for a in arguments)
        target = out if fits and out is not None else _Temporary(shape, dtype)
        if isinstance(function, np.ufunc):
            calls.append((function, (*arguments, target)))
        elif expression.function == "where":
            calls.append((_where, (*arguments, target)))
        else:
            calls.append((_through_copy, (function, *arguments, target)))
        known[expression] = target
        return target

    for name, expression in expressions.items():
        remaining.remove(name)
        out = outputs[name]
        operand_overwritten = [o for o, array in operands.items() if np.may_share_memory(array, out)]
        still_read = any(
            _reads(expressions[later], operand_overwritten, computed | {expression: None}) for later in remaining
        )
        direct = not still_read
        value = result_of(expression, out if direct else None)
        if value is not out:
            if direct:
                calls.append((np.copyto, (out, value)))
            else:
                if isinstance(expression, Name):  # an operand itself: a later output may be written over it before
                    kept = _Temporary(out.shape, out.dtype)
                    calls.append((np.copyto, (kept, value)))
                    value = kept
                late.append((out, value))  # type: ignore[arg-type]
    calls += [(np.copyto, pair) for pair in late]
    return _sequence(_placed(calls, scratch))


def _placed(calls: _Calls, scratch: Scratch) -> _Calls:
    """The calls with memory for their temporaries, each of which is written by the call that names it first."""
    last = {id(a): i for i, (_, arguments) in enumerate(calls) for a in arguments if isinstance(a, _Temporary)}
    number: dict[int, int] = {}  # temporary -> its place
    sizes: list[int] = []  # of places
    free: list[int] = []
    for i, (function, arguments) in enumerate(calls):
        ended = [a for a in arguments if isinstance(a, _Temporary) and last[id(a)] == i and id(a) in number]
        for made in arguments:
            if not isinstance(made, _Temporary) or id(made) in number:
                continue
            # a ufunc reads each element before it writes it
            over = [
                a for a in ended if (a.shape, a.dtype) == (made.shape, made.dtype) and isinstance(function, np.ufunc)
            ]
            if over:
                place = number[id(over[0])]
                ended = [a for a in ended if number[id(a)] != place]
            elif free:
                place = min(free, key=lambda at: (sizes[at] < made.nbytes, abs(sizes[at] - made.nbytes)))
                free.remove(place)
            else:
                place = len(sizes)
                sizes.append(0)
            number[id(made)], sizes[place] = place, max(sizes[place], made.nbytes)
        free += sorted({number[id(a)] for a in ended})

    def array(argument: object) -> object:
        if not isinstance(argument, _Temporary):
            return argument
        return scratch.array(number[id(argument)], argument.shape, argument.dtype)

    return [(function, tuple(map(array, arguments))) for function, arguments in calls]


def _sequence(calls: _Calls) -> Callable[[], None]:
    """The calls as one function; its source is generated, because a loop over the list would cost more than the calls."""
    scope: dict[str, object] = {}
    lines = []
    for i, (function, arguments) in enumerate(calls):
        scope[f"f{i}"] = function
        names = []
        for j, argument in enumerate(arguments):
            scope[f"a{i}_{j}"] = argument
            names.append(f"a{i}_{j}")
        if isinstance(function, np.ufunc):  # NumPy 2.4 wants the output of some named
            names[-1] = f"out={names[-1]}"
        lines.append(f"    f{i}({', '.join(names)})")
    bound = ", ".join(f"{name}={name}" for name in scope)  # defaults are locals: faster than globals
    source = f"def step({bound}):\n" + "\n".join(lines or ["    pass"])
    exec(_compiled(source), scope)
    return scope["step"]  # type: ignore[return-value]


@cache
def _compiled(source: str) -> CodeType:
    """The code of a source, which many nodes of a deep network share: it is our own text, nothing of a user's is in it."""
    return compile(source, "<elementwise>", "exec")


def _where(condition: object, chosen: object, otherwise: object, out: np.ndarray) -> None:
    np.copyto(out, otherwise)  # type: ignore[arg-type]
    np.copyto(out, chosen, where=np.asarray(condition, bool))  # type: ignore[arg-type]


def _through_copy(function: Callable[..., object], *arguments_and_out: object) -> None:
    *arguments, out = arguments_and_out
    np.copyto(out, function(*arguments))  # type: ignore[arg-type]


@cache
def _result_type(function: str, kinds: tuple[object, ...], chooses: bool) -> np.dtype:
    """The element type of a function's result for arrays of those types and Python's own numbers, by trying it on ones.

    A comparison gives 1 or 0 in the type of what it compares, unless it only `chooses`.
    """
    tiny = [np.ones(1, kind) if isinstance(kind, np.dtype) else kind(1) for kind in kinds]  # type: ignore[operator]
    with np.errstate(all="ignore"):
        dtype = np.asarray(FUNCTIONS[function].numpy(*tiny)).dtype
    return number_type(tiny) if function in COMPARISONS and not chooses else dtype


def _reads(expression: Expression, operands: list[str], computed: Mapping[Expression, object]) -> bool:
    """Whether computing the expression still reads one of the operands, given what is computed."""
    if expression in computed:
        return False
    if isinstance(expression, Name):
        return expression.id in operands
    if isinstance(expression, Call):
        return any(_reads(argument, operands, computed) for argument in expression.arguments)
    return False
