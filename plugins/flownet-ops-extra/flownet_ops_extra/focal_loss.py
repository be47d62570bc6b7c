"""focal_loss: cross-entropy in which examples that are easy hardly count."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flownet import ElementwiseOp, FlownetError, Op, Sample
from flownet.ops.reduction.mean import Mean
from flownet.types import Dim, TensorType

__all__ = ["FocalLoss", "FocalTerm"]

# s is the logit with the target's sign, 1 − p the logistic function of −s, and −log p its softplus: nothing overflows
_S = "((2 * target - 1) * x)"
_MISS = f"(where({_S} <= 0, 1, exp(-abs({_S}))) / (1 + exp(-abs({_S}))))"
_LOSS = f"(maximum(-{_S}, 0) + log1p(exp(-abs({_S}))))"
_ALPHA = "(alpha * target + (1 - alpha) * (1 - target))"


@dataclass(frozen=True)
class FocalTerm(ElementwiseOp):
    """The focal loss of every element: l = −α_t · (1 − p_t)^gamma · log p_t, from logits and targets of 0 and 1.

    Gradient: dx = dl · α_t · (2t − 1) · (1 − p_t)^gamma · (gamma · p_t · log p_t − (1 − p_t)); none for the target.
    See `focal_loss`.
    """

    gamma: float = 2.0
    alpha: float = 0.25

    name = "focal_term"
    category = "loss"
    operands = ("x", "target")
    expression = f"{_ALPHA} * pow({_MISS}, gamma) * {_LOSS}"
    derivative = {
        "x": f"dy * {_ALPHA} * (2 * target - 1) * pow({_MISS}, gamma) * (gamma * ({_MISS} - 1) * {_LOSS} - {_MISS})"
    }
    differentiable = ("x",)

    def checked(self) -> None:
        _check(self)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # p = ¾ and ¼: gamma 1, alpha ½ gives ½ · ¼ · log(4/3) and ½ · ¾ · log 4
        yield Sample(
            cls(1.0, 0.5), {"x": [1.0986122886681098, 1.0986122886681098], "target": [1.0, 0.0]},
            {"y": [0.03596025905647261, 0.5198603854199589]},
        )  # fmt: skip
        yield Sample(
            cls(), {"x": [-1e4, 1e4], "target": [0.0, 1.0]}, {"y": [0.0, 0.0]}, note="certain and right: no loss"
        )


@dataclass(frozen=True)
class FocalLoss(Op):
    """The mean of −α_t · (1 − p_t)^gamma · log p_t, where p_t is the probability that the logit gives to the target.

    gamma: how much less an example counts that is right already; 0 is the balanced cross-entropy
    alpha: the weight of targets 1, 1 − alpha that of targets 0

    Shapes: logits float32[…], target float32[…] of 0 and 1 -> float32[].
    Gradient: of `focal_term` and `mean`; none for the target.
    Numerical care: logarithms of probabilities come from the logits, without overflow up to ±1e4.
    Source: Lin, Goyal, Girshick, He, Dollár 2017, "Focal loss for dense object detection".
    """

    gamma: float = 2.0
    alpha: float = 0.25

    name = "focal_loss"
    category = "loss"
    differentiable = ("x",)

    def checked(self) -> None:
        _check(self)

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        if x != target or not x.dtype.is_float:
            raise FlownetError.of(
                "shape-mismatch", f"`{self.name}` takes logits and targets of one type, got {x} and {target}"
            )
        return x.with_shape()

    def expand(self, g, x, target):
        return g.add(Mean(), g.add(FocalTerm(self.gamma, self.alpha), x=x, target=target))

    def flops(self, x: TensorType) -> Dim:
        return 20 * x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[1.0986122886681098, 1.0986122886681098]]
        yield Sample(
            cls(1.0, 0.5),
            {"x": x, "target": [[1.0, 0.0]]},
            {"y": 0.27791032223821575},
            note="the mean of ½·¼·log(4/3) and ½·¾·log 4",
        )


def _check(op: FocalTerm | FocalLoss) -> None:
    if not 0 <= op.gamma < math.inf:
        raise FlownetError.of(
            "bad-attribute", f"`gamma` of `{op.name}` must be a finite number of at least 0, got {op.gamma}"
        )
    if not 0 <= op.alpha <= 1:
        raise FlownetError.of("bad-attribute", f"`alpha` of `{op.name}` must be from 0 to 1, got {op.alpha}")
