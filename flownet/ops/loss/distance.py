"""Losses that compare prediction and target element by element: a formula, its derivative, and a reduction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from flownet.expression import Number, parse, substitute
from flownet.op import Elementwise, Op
from flownet.ops.loss.reduction import Reduction, check_reduction, reduced, reduced_loss_type
from flownet.ops.requirements import mismatch, require_float
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["DistanceLoss"]


@dataclass(frozen=True)
class DistanceLoss(Op):
    """Base class: `distance` over `x`, `target` and the attributes, and `slope`, its derivative by x times `dy`.

    The derivative by the target is −slope, for a distance depends on x − target alone.
    """

    reduction: Reduction = "mean"

    category = "loss"
    distance: ClassVar[str]
    slope: ClassVar[str]

    def checked(self) -> None:
        check_reduction(self.name, self.reduction)

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        require_float(self.name, x=x, target=target)
        if x.shape != target.shape:
            raise mismatch(self.name, "x and target of one shape", f"{x} and {target}")
        return reduced_loss_type(self.reduction, x)

    def expand(self, g: Builder, x: Value, target: Value) -> Value:
        attributes = {f.name: Number(float(getattr(self, f.name))) for f in fields(self) if f.name != "reduction"}
        distance, slope, back = (
            substitute(parse(text), attributes) for text in (self.distance, self.slope, f"-({self.slope})")
        )
        operation = Elementwise((("y", distance),), ("x", "target"), (("x", slope), ("target", back)))
        return reduced(g, self.reduction, g.add(operation, x, target))

    def flops(self, x: TensorType) -> Dim:
        return 4 * x.size
