"""Checks of an op's declaration: documentation, samples, attributes, costs."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np

from flownet.errors import FlownetError
from flownet.language.components import Components
from flownet.language.expand import written_value
from flownet.language.reading import read_text
from flownet.language.report import Report as Diagnostics
from flownet.language.writing import to_flow
from flownet.op import Op
from flownet.registry import Registry
from flownet.testing.example import Example, Rejected, completed, example_of
from flownet.testing.subject import Failure, Skip, Subject, counted, said
from flownet.testing.value_checks import wrong_types
from flownet.types import Symbolic

__all__ = ["bad_values", "cost", "documentation", "samples", "serialisation"]

_MOST_ELEMENTS = 200_000  # an attribute may ask for more than it is worth to compute here


def documentation(subject: Subject) -> str:
    """The class has a docstring of its own."""
    text = vars(subject.op_class).get("__doc__") or ""
    if not text.strip() or text.startswith(f"{subject.op_class.__name__}("):  # what @dataclass writes
        raise Failure("the class has no docstring: say what comes out, the formula, shapes and gradient")
    if not subject.op_class.name:
        raise Failure("the class has no `name`, by which graph files call it")
    return text.strip().splitlines()[0]


def samples(subject: Subject) -> str:
    """There are samples, and the op takes them."""
    try:
        found = subject.samples
    except Exception as error:
        raise Failure(f"`samples` raises {said(error)}") from None
    if not found:
        raise Failure("there are no samples: documentation and tests need them")
    for sample in found:
        try:
            sample.op.checked()
            example = example_of(sample)
            example.infer()
        except Rejected as reason:
            raise Failure(f"the op refuses the sample {sample.op}: {reason}") from None
        except Exception as error:
            raise Failure(f"the sample {sample.op}: {said(error)}") from None
        if unknown := set(sample.outputs) - set(sample.op.outputs):
            raise Failure(
                f"the sample {sample.op} expects `{sorted(unknown)[0]}`, the outputs are {', '.join(sample.op.outputs)}"
            )
    return f"{counted(len(found), 'sample')}"


def bad_values(subject: Subject) -> str:
    """Odd values of attributes: the op runs as inferred, or gives a FlownetError; a NaN is always refused."""
    hints = typing.get_type_hints(subject.op_class)
    count = 0

    def examine(example: Example) -> str | None:
        nonlocal count
        for field in (field for field in fields(example.op) if field.init):
            for value in _odd_values(hints.get(field.name, Any)):
                if problem := _with_value(example, field.name, value):
                    return f"`{field.name}: {value!r}`: {problem}"
                count += 1
        return None

    subject.go_over(subject.examples(), examine, most_tries=40)
    if not count:
        raise Skip("the op has no attributes to vary")
    return f"{counted(count, 'odd value')}"


def _with_value(example: Example, name: str, value: Any) -> str | None:
    try:
        op = replace(example.op, **{name: value})
        op.checked()
        odd = completed(op, example.data)
        types_ = odd.infer()
    except (FlownetError, Rejected, MemoryError):
        return None
    except Exception as error:
        return said(error)
    if isinstance(value, float) and np.isnan(value):
        return "it is taken; `checked` should refuse it"
    if any(isinstance(dim, int) and dim < 0 for type_ in types_ for dim in type_.shape):
        return f"`infer` gives {', '.join(map(str, types_))}"
    sizes = [type_.size for type_ in (*types_, *odd.types.values())]
    if any(not isinstance(size, int) or size > _MOST_ELEMENTS for size in sizes):
        return None
    try:
        return wrong_types(odd)
    except (FlownetError, MemoryError):
        return None
    except Exception as error:
        return f"`infer` takes it, `forward` does not: {said(error)}"


def _odd_values(hint: Any) -> Iterator[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        for argument in arguments:
            yield from _odd_values(argument)
    elif hint is type(None):
        yield None
    elif hint is bool:
        yield from (False, True)
    elif hint is int:
        yield from (-1, 0, 1, 3, -1000, 1_000_003)
    elif hint is float:
        yield from (float("nan"), float("inf"), -1.0, 0.0, 1.0, 1e30)
    elif hint is str:
        yield from ("", "no such word")
    elif origin is Literal:
        yield from arguments
    elif origin is tuple and arguments:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            yield ()
            inner = [value for value in _odd_values(arguments[0]) if value != 1_000_003]
            yield from ((value,) for value in inner)
            yield from ((value, value) for value in inner)
        else:
            columns = [list(_odd_values(argument)) for argument in arguments]
            yield from zip(*columns, strict=False)


def serialisation(subject: Subject) -> str:
    """Attributes written as a graph file has them, read back and checked by their annotations, make the same op."""
    if not subject.samples:
        raise Skip("there are no samples")
    registry = subject.registry or _builtin()
    for sample in subject.samples:
        op = sample.op
        text = to_flow({field.name: written_value(getattr(op, field.name)) for field in fields(op) if field.init})
        report = Diagnostics()
        tree = read_text(text, op.name, report)
        again = None if tree is None else Components(registry, report).build(type(op), tree, tree, f"op `{op.name}`")
        if again is None:
            raise Failure(f"`{text}` cannot be read back: {'; '.join(d.message for d in report.errors)}")
        if again != op or hash(again) != hash(op):
            raise Failure(f"`{text}` is read back as {again}")
    return f"{counted(len(subject.samples), 'sample')} to YAML and back"


@cache
def _builtin() -> Registry:
    return Registry(entry_points=False)


def cost(subject: Subject) -> str:
    """The op says how many operations it takes."""
    cls = subject.op_class
    derived = cls.is_view or hasattr(cls, "expand") or hasattr(cls, "expressions")
    if not derived and cls.flops is Op.flops and cls.multiply_adds is Op.multiply_adds:
        raise Failure(
            "neither `flops` nor `multiply_adds` is written: `flownet describe` would count one operation an element"
        )
    shown = ""
    for example in subject.examples():
        flops, multiply_adds = example.op.cost(example.types, example.infer())
        for what, number in (("flops", flops), ("multiply-adds", multiply_adds)):
            if not isinstance(number, (int, np.integer, Symbolic)) or (isinstance(number, int) and number < 0):
                raise Failure(f"{number!r} {what} are no count", example)
        shown = shown or f"{flops} operations for {', '.join(map(str, example.types.values()))}"
    return shown
