"""What ops ask of the types that they are given, so that all of them word their refusals alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from flownet.errors import FlownetError
from flownet.types import Dim, TensorType

__all__ = ["bad_attribute", "mismatch", "require_float", "require_number", "resolve_axes", "resolve_axis", "shape_text"]


def mismatch(op: str, takes: str, got: object, *notes: str, help: str = "") -> FlownetError:
    """`dense` takes float32[n, d], got float32[N, 16, 5, 5]"""
    return FlownetError.of("shape-mismatch", f"`{op}` takes {takes}, got {got}", *notes, help=help)


def bad_attribute(op: str, attribute: str, must: str, value: object) -> FlownetError:
    """`rate` of `dropout` must be at least 0 and below 1, got 1.5"""
    return FlownetError.of("bad-attribute", f"`{attribute}` of `{op}` must be {must}, got {value}")


def require_float(op: str, **types: TensorType | None) -> None:
    """Raise FlownetError (`dtype-mismatch`) unless all are of one floating-point type; None is an absent input."""
    given = {name: type_ for name, type_ in types.items() if type_ is not None}
    for name, type_ in given.items():
        if not type_.dtype.is_float:
            raise FlownetError.of("dtype-mismatch", f"`{op}` takes floating-point numbers as `{name}`, got {type_}")
    if len({type_.dtype for type_ in given.values()}) > 1:
        texts = ", ".join(f"`{name}`: {type_}" for name, type_ in given.items())
        raise FlownetError.of("dtype-mismatch", f"`{op}` takes inputs of one element type, got {texts}")


def require_number(op: str, x: TensorType) -> None:
    """Raise FlownetError (`dtype-mismatch`) for truth values, which cannot be added."""
    if not (x.dtype.is_float or x.dtype.is_integer):
        raise FlownetError.of("dtype-mismatch", f"`{op}` takes numbers, got {x}")


def resolve_axis(op: str, axis: int, x: TensorType) -> int:
    """The axis counted from 0. Raises FlownetError (`shape-mismatch`) for one that `x` has not."""
    if not -x.rank <= axis < x.rank:
        axes = f"its axes are 0 to {x.rank - 1}, or {-x.rank} to -1 from the end" if x.rank else "it has no axes"
        raise FlownetError.of("shape-mismatch", f"`{op}` works along axis {axis}, got {x}", axes)
    return axis % x.rank


def resolve_axes(op: str, axes: Sequence[int], x: TensorType) -> tuple[int, ...]:
    """The axes counted from 0, ascending. Raises FlownetError as `resolve_axis`, and for one that is named twice."""
    resolved = sorted(resolve_axis(op, axis, x) for axis in axes)
    for first, second in pairwise(resolved):
        if first == second:
            raise FlownetError.of("bad-attribute", f"`axes` of `{op}` names axis {first} twice: {list(axes)}")
    return tuple(resolved)


def shape_text(shape: Sequence[Dim]) -> str:
    """`[N, 3]`"""
    return f"[{', '.join(map(str, shape))}]"
