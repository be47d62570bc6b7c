"""From the losses of all elements to one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flownet.ops.reduction.mean import Mean
from flownet.ops.reduction.sum import Sum
from flownet.ops.requirements import bad_attribute
from flownet.types import TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Reduction", "check_reduction", "reduced", "reduced_loss_type"]

Reduction = Literal["mean", "sum", "none"]


def check_reduction(op: str, reduction: str) -> None:
    """Raise FlownetError (`bad-attribute`) for what is no reduction."""
    if reduction not in ("mean", "sum", "none"):
        raise bad_attribute(op, "reduction", "`mean`, `sum` or `none`", f"`{reduction}`")


def reduced_loss_type(reduction: Reduction, each: TensorType) -> TensorType:
    """The type of the loss, `each` being that of the losses of the elements."""
    return each if reduction == "none" else each.with_shape()


def reduced(g: Builder, reduction: Reduction, each: Value) -> Value:
    """The node that reduces the losses of the elements, if there is anything to do."""
    if reduction == "none":
        return each
    return g.add(Mean() if reduction == "mean" else Sum(), each)
