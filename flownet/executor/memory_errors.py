"""Where in the user's file the value stands that there was no memory for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flownet.errors import FlownetError, MachineError
from flownet.graph import Graph, Value

__all__ = ["naming_the_largest", "naming_the_value"]

_CODE = "out-of-memory"


@contextmanager
def naming_the_value(value: Value) -> Iterator[None]:
    """Turns lack of memory for a parameter or a state into a MachineError at the node that it belongs to."""
    with _told(value, f"there is no memory for {_size(value)}", "make that layer smaller, or take another `--device`"):
        yield


@contextmanager
def naming_the_largest(graph: Graph) -> Iterator[None]:
    """Turns lack of memory for a step into a MachineError at the node that makes the largest value of it."""
    values = [value for value in graph.values.values() if value.producer]
    if not values:
        yield
        return
    largest = max(values, key=lambda value: int(value.type.nbytes))  # type: ignore[arg-type]
    message = f"there is no memory for the values of a step, of which the largest is {_size(largest)}"
    with _told(largest, message, "use a smaller batch (`--set train.batch=…`), or another `--device`"):
        yield


@contextmanager
def _told(value: Value, message: str, help: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise MachineError.of(_CODE, message, *_texts(str(error)), span=value.origin.span, help=help) from None
    except FlownetError as error:
        (first, *_) = error.diagnostics
        if first.code != _CODE:
            raise
        raise MachineError.of(_CODE, message, first.message, *first.notes, span=value.origin.span, help=help) from None


def _size(value: Value) -> str:
    return f"`{value.name}`: {value.type}, {int(value.type.nbytes) / 2**30:,.1f} GiB"  # type: ignore[arg-type]


def _texts(text: str) -> list[str]:
    return [text[0].lower() + text[1:]] if text else []
