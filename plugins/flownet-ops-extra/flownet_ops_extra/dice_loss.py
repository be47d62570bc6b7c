"""dice_loss: how far a predicted mask is from covering the true one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Op, Sample
from flownet.types import Dim, TensorType

__all__ = ["DiceLoss"]


@dataclass(frozen=True)
class DiceLoss(Op):
    """1 − overlap, the mean over the examples: l = 1 − (2 Σ p·t + smooth) / (Σ p² + Σ t² + smooth).

    smooth: keeps the quotient finite where neither mask has a pixel; 0 is the paper's

    Shapes: p float32[n, …] (probabilities), target float32[n, …] (0 and 1) -> float32[]. A class is as important in a small
    object as in a large one, which cross-entropy per pixel does not give.
    Gradient: dp = dy / n · (−2t · S + (2 Σ p·t + smooth) · 2p) / S², S the denominator; none for the target.
    Source: Milletari, Navab, Ahmadi 2016, "V-Net".
    """

    name = "dice_loss"
    category = "loss"
    differentiable = ("p",)

    smooth: float = 1.0

    def checked(self) -> None:
        if not 0 <= self.smooth < math.inf:
            raise FlownetError.of(
                "bad-attribute", f"`smooth` of `{self.name}` must be a finite number of at least 0, got {self.smooth}"
            )

    def infer(self, p: TensorType, target: TensorType) -> TensorType:
        if p != target or not p.dtype.is_float or p.rank < 1:
            raise FlownetError.of(
                "shape-mismatch", f"`{self.name}` takes two masks of one type float32[n, …], got {p} and {target}"
            )
        return p.with_shape()

    def forward(self, p: np.ndarray, target: np.ndarray) -> np.ndarray:
        above, below = self._quotient(p, target)
        return np.asarray((1 - above / below).sum() / max(len(p), 1), p.dtype)

    def backward(self, p: np.ndarray, target: np.ndarray, dy: np.ndarray) -> np.ndarray:
        above, below = (part.reshape(-1, *(1,) * (p.ndim - 1)) for part in self._quotient(p, target))
        return dy / max(len(p), 1) * 2 * (p * above - target * below) / below**2

    def flops(self, p: TensorType) -> Dim:
        return 6 * p.size

    def _quotient(self, p: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        axes = tuple(range(1, p.ndim))
        smooth = p.dtype.type(self.smooth)
        return 2 * (p * target).sum(axes) + smooth, (p * p).sum(axes) + (target * target).sum(axes) + smooth

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # Σpt = 1, Σp² = 1.25, Σt² = 2: 1 − 2/3.25; and a prediction that is right: 0
        half, right = [[1.0, 0.5], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
        yield Sample(
            cls(0.0), {"p": [half, right], "target": [[[1.0, 0.0], [1.0, 0.0]], right]}, {"y": (1 - 2 / 3.25) / 2}
        )
        yield Sample(cls(), {"p": [[0.0, 0.0]], "target": [[0.0, 0.0]]}, {"y": 0.0}, note="two empty masks agree")
