"""binary_cross_entropy: how surprised a logistic unit is by its target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.loss.reduction import Reduction, check_reduction, reduced_loss_type
from flownet.ops.requirements import mismatch, require_float
from flownet.types import Dim, DType, TensorType

__all__ = ["BinaryCrossEntropy"]


@dataclass(frozen=True)
class BinaryCrossEntropy(Op):
    """−t·log σ(z) − (1 − t)·log(1 − σ(z)) for logits z and targets t in [0, 1], averaged over all elements; σ is the logistic function.

    reduction: `mean` divides the sum by the number of elements, `sum` does not, `none` gives each

    Shapes: logits float32[…], target of the same shape, float32 or whole numbers -> float32[], with `none` float32[…].
    Gradient: dlogits = (σ(z) − t) · dy / (number of elements) for `mean`; dtarget = −z · dy / (number of elements).
    Numerical care: computed as max(z, 0) − z·t + log(1 + e^−|z|), which neither overflows nor loses small values.
    Errors: `label-range` while running, for a target outside of [0, 1].
    Source: Cox 1958. It is PyTorch's `BCEWithLogitsLoss`.
    """

    reduction: Reduction = "mean"

    name = "binary_cross_entropy"
    category = "loss"
    differentiable = ("logits",)

    def checked(self) -> None:
        check_reduction(self.name, self.reduction)

    def infer(self, logits: TensorType, target: TensorType) -> TensorType:
        require_float(self.name, logits=logits)
        if not target.dtype.is_integer and target.dtype is not DType.bool:
            require_float(self.name, logits=logits, target=target)
        if logits.shape != target.shape:
            help = "a `reshape` makes them equal" if logits.size == target.size else ""
            raise mismatch(self.name, "logits and targets of one shape", f"{logits} and {target}", help=help)
        return reduced_loss_type(self.reduction, logits)

    def forward(self, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
        self.check_fed(target)
        t = target.astype(logits.dtype, copy=False)
        each = np.maximum(logits, 0) - logits * t + np.log1p(np.exp(-np.abs(logits)))
        if self.reduction == "none":
            return each
        return each.sum(dtype=each.dtype) / each.dtype.type(self._count(each))

    def backward(self, logits: np.ndarray, target: np.ndarray, dy: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(logits))
        probability = np.where(logits >= 0, 1, e) / (1 + e)
        return (probability - target.astype(logits.dtype)) * (dy / logits.dtype.type(self._count(logits)))

    def backward_target(self, logits: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return -logits * (dy / logits.dtype.type(self._count(logits)))

    def flops(self, logits: TensorType) -> Dim:
        return 8 * logits.size

    def _count(self, each: np.ndarray) -> int:
        return max(each.size, 1) if self.reduction == "mean" else 1

    def check_fed(self, target: np.ndarray) -> None:
        """Raise FlownetError (`label-range`) for a target outside of [0, 1]."""
        if target.size and not (target.min() >= 0 and target.max() <= 1):
            wrong = target[~((target >= 0) & (target <= 1))].ravel()[0]
            raise FlownetError.of(
                "label-range", f"`{self.name}` takes targets from 0 to 1, got {wrong}",
                help="for class numbers take `cross_entropy`; for other numbers, `squared_error`",
            )  # fmt: skip

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # z = log 3: σ = ¾; z = 0: σ = ½
        log3, log2 = 1.0986122886681098, 0.6931471805599453
        given = {"logits": [[log3, 0.0], [-log3, log3]], "target": [[1.0, 0.5], [1.0, 0.0]]}
        each = [[2 * log2 - log3, log2], [2 * log2, 2 * log2]]
        yield Sample(cls(), given, {"y": (7 * log2 - log3) / 4})
        yield Sample(cls("none"), given, {"y": each})
        far = {"logits": [1e4, -1e4, 1e4], "target": np.array([1, 1, 0], np.int32)}
        yield Sample(cls("sum"), far, {"y": 2e4}, note="no overflow far out")
