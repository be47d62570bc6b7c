"""The state that all random ops of a graph share: (seed, step)."""

from __future__ import annotations

from flownet.errors import FlownetError
from flownet.op import Initial
from flownet.types import DType, TensorType

__all__ = ["RNG", "check_rng"]

RNG = Initial(TensorType(DType.uint32, (2,)), shared_name="rng", is_parameter=False)


def check_rng(op: str, rng: TensorType | None) -> None:
    """Raise FlownetError (`dtype-mismatch`) for a state of another type."""
    if rng is not None and rng != RNG.type:
        raise FlownetError.of("dtype-mismatch", f"`{op}` takes {RNG.type} as `rng`, got {rng}", help="leave `rng` out")
