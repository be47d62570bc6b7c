"""top_k_accuracy: how often the label is among the largest scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Metric, Sample
from flownet.ops.metric.class_axis import check_scores, counted
from flownet.ops.requirements import bad_attribute
from flownet.types import Dim, TensorType

__all__ = ["TopKAccuracy"]


@dataclass(frozen=True)
class TopKAccuracy(Metric):
    """The share of examples, or of pixels, whose label is among the k largest scores.

    k:            ImageNet's papers take 5
    ignore_index: a label that does not count

    Shapes: logits float32[n, classes, …], label int32[n, …] -> float32[2]: how many are right, how many count.
    Gradient: none. A score equal to the label's counts against it only when it is larger.
    """

    k: int = 5
    ignore_index: int | None = None

    name = "top_k_accuracy"

    def checked(self) -> None:
        if self.k < 1:
            raise bad_attribute(self.name, "k", "at least 1", self.k)

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        check_scores(self.name, logits, label)
        return logits.with_shape(2)

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        counts = counted(label, self.ignore_index)
        places = np.expand_dims(np.where(counts & (label >= 0) & (label < logits.shape[1]), label, 0), 1)
        larger = (logits > np.take_along_axis(logits, places, 1)).sum(1)
        return np.array([((larger < self.k) & counts).sum(), counts.sum()], logits.dtype)

    def summarise(self, total: np.ndarray) -> float:
        return float(total[0] / total[1]) if total[1] else float("nan")

    def flops(self, logits: TensorType) -> Dim:
        return logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits, label = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], np.array([1, 2, 2], np.int32)
        yield Sample(cls(k=2), {"logits": logits, "label": label}, {"y": [2.0, 3.0]})
