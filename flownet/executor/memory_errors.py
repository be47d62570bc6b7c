"""Where in the user's file the value stands that there was no memory for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flownet.errors import FlownetError, MachineError
from flownet.graph import Graph, Value

__all__ = ["naming_the_value", "placed_at_the_largest"]

_CODE = "out-of-memory"


@contextmanager
def naming_the_value(value: Value) -> Iterator[None]:
    """Turns lack of memory for a parameter or a state into a MachineError at the node that it belongs to."""
    message = f"there is no memory for `{value.name}`: {value.type}, {int(value.type.nbytes) / 2**30:,.1f} GiB"  # type: ignore[arg-type]
    help = "make that layer smaller, or take another `--device`"
    try:
        yield
    except MemoryError as error:
        text = str(error)
        raise MachineError.of(_CODE, message, text[:1].lower() + text[1:], span=value.origin.span, help=help) from None
    except FlownetError as error:
        (first, *_) = error.diagnostics
        if first.code != _CODE:
            raise
        raise MachineError.of(_CODE, message, first.message, *first.notes, span=value.origin.span, help=help) from None


@contextmanager
def placed_at_the_largest(graph: Graph) -> Iterator[None]:
    """Puts a device's word that it lacks memory for a step at the node that makes the largest value of it."""
    try:
        yield
    except FlownetError as error:
        values = [value for value in graph.values.values() if value.producer]
        if error.diagnostics[0].code != _CODE or not values:
            raise
        largest = max(values, key=lambda value: int(value.type.nbytes))  # type: ignore[arg-type]
        raise error.placed(largest.origin.spans) from None
