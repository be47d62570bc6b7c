"""Attributes that hold sizes: numbers, or symbols until they are bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flownet.ops.requirements import bad_attribute, shape_text
from flownet.types import Dim, bind

__all__ = ["bad_size", "bound"]


def bound(shape: Sequence[Dim], sizes: Mapping[str, int]) -> tuple[Dim, ...]:
    """The sizes with numbers put in for symbols."""
    return tuple(bind(dim, sizes) for dim in shape)


def bad_size(op: str, shape: Sequence[Dim], at_least: int) -> None:
    """Raise FlownetError (`bad-attribute`) for a size below `at_least`."""
    for dim in shape:
        if isinstance(dim, int) and dim < at_least:
            raise bad_attribute(op, "shape", f"sizes of at least {at_least}", shape_text(shape))
