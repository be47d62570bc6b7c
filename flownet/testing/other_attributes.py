"""The examples of an op with attributes that its samples leave at one value.

A factor that `backward` or a kernel forgets does not show while it is 1; nor does a mode that no sample takes.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin

import numpy as np

from flownet.errors import FlownetError
from flownet.testing.example import Example, Rejected
from flownet.testing.reference import forward

__all__ = ["with_other_attributes"]


def with_other_attributes(examples: list[Example]) -> Iterator[Example]:
    """An example for every truth value and word that no sample has, and one for every number that all samples share.

    What the op refuses, and what has no finite result (a root below 0), is left out.
    """
    if not examples:
        return
    hints = typing.get_type_hints(type(examples[0].op))
    for field in fields(examples[0].op):
        if not field.init:
            continue
        known = {getattr(example.op, field.name) for example in examples}
        for alternatives in _alternatives(hints.get(field.name, Any), known):
            tried = (_changed(example, field.name, value) for value in alternatives for example in examples)
            if (found := next(filter(None, tried), None)) is not None:
                yield found


def _alternatives(hint: Any, known: set[Any]) -> Iterator[tuple[Any, ...]]:
    """Values that are not known; of each tuple the first that the op takes counts."""
    if get_origin(hint) in (types.UnionType, typing.Union):
        for argument in get_args(hint):
            yield from _alternatives(argument, known)
    elif hint is bool or get_origin(hint) is Literal:
        values = (False, True) if hint is bool else get_args(hint)
        yield from ((value,) for value in values if value not in known)
    elif hint in (int, float) and len(known) == 1:
        (value,) = known
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            value = 0
        yield (value + 1, value - 1) if hint is int else (1.7 * value + 0.3, 0.7 * value)


def _changed(example: Example, name: str, value: Any) -> Example | None:
    try:
        op = replace(example.op, **{name: value})  # type: ignore[type-var]
        op.checked()
        found = replace(example, op=op).with_data(example.data)
        found.infer()
        with np.errstate(all="ignore"):
            outputs = forward(found.op, found.inputs).values()
        finite = all(np.isfinite(array).all() for array in outputs if array.dtype.kind == "f")
    except (FlownetError, Rejected):
        return None
    except Exception:  # the check of attributes says so
        return None
    return found if finite else None
