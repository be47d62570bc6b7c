"""binary_accuracy: how often a logistic unit is on the right side."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.ops.metric.share import ShareMetric
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import Dim, DType, TensorType

__all__ = ["BinaryAccuracy"]


@dataclass(frozen=True)
class BinaryAccuracy(ShareMetric):
    """The share of elements where logits > threshold exactly if target > ½.

    threshold: what counts as yes; 0 for logits, 0.5 for probabilities

    Shapes: logits float32[…], target of the same shape, float32 or whole numbers -> float32[2]: how many are right, and how many
    there are. The figure is their quotient.
    """

    threshold: float = 0.0

    name = "binary_accuracy"

    def checked(self) -> None:
        if not math.isfinite(self.threshold):
            raise bad_attribute(self.name, "threshold", "a number", self.threshold)

    def infer(self, logits: TensorType, target: TensorType) -> TensorType:
        require_float(self.name, logits=logits)
        if not target.dtype.is_integer and target.dtype is not DType.bool:
            require_float(self.name, logits=logits, target=target)
        if logits.shape != target.shape:
            raise mismatch(self.name, "logits and targets of one shape", f"{logits} and {target}")
        return logits.with_shape(2)

    def forward(self, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
        return self._counts((logits > self.threshold) == (target > 0.5), target, None, logits)

    def flops(self, logits: TensorType) -> Dim:
        return 2 * logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"logits": [[2.0], [-1.0], [0.5]], "target": [[1.0], [0.0], [0.0]]}, {"y": [2.0, 3.0]})
        yield Sample(
            cls(0.5),
            {"logits": [0.4, 0.6], "target": np.array([1, 1], np.int32)},
            {"y": [1.0, 2.0]},
            note="probabilities",
        )
