"""What both forms of batch normalisation ask of their inputs."""

from __future__ import annotations

import math

from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import TensorType

__all__ = ["channel_type", "check_channels", "check_epsilon"]


def check_epsilon(op: str, epsilon: float) -> None:
    """Raise FlownetError (`bad-attribute`) unless epsilon is a positive number."""
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise bad_attribute(op, "epsilon", "above 0", epsilon)


def channel_type(op: str, x: TensorType) -> TensorType:
    """The type of one number a channel. Raises FlownetError unless x is float[n, c, …] with a number for c."""
    require_float(op, x=x)
    if x.rank < 2:
        raise mismatch(op, f"{x.dtype}[n, c, …]", x)
    if not isinstance(x.shape[1], int):
        note = f"each channel has parameters, and `{x.shape[1]}` is not known"
        raise mismatch(op, f"{x.dtype}[n, c, …] with a number for c", x, note)
    return x.with_shape(x.shape[1])


def check_channels(op: str, x: TensorType, **values: TensorType) -> TensorType:
    """`channel_type`, which all `values` must have. Raises FlownetError."""
    wanted = channel_type(op, x)
    for name, type_ in values.items():
        if type_ != wanted:
            raise mismatch(op, f"{wanted} as `{name}` for the input {x}", type_)
    return wanted
