"""accuracy: how often the largest score is the label's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Metric, Sample
from flownet.ops.metric.class_axis import check_scores, counted
from flownet.types import Dim, TensorType

__all__ = ["Accuracy"]


@dataclass(frozen=True)
class Accuracy(Metric):
    """The share of examples, or of pixels, whose largest score is their label's. One score an example: above 0 means class 1.

    ignore_index: a label that does not count

    Shapes: logits float32[n, classes, …], label int32[n, …] -> float32[2]: how many are right, how many count.
    Gradient: none. The first of equal scores is taken.
    """

    ignore_index: int | None = None

    name = "accuracy"

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        if not (logits.rank == 2 and logits.shape == label.shape and logits.shape[1] == 1):  # y[n, 1] of two classes
            check_scores(self.name, logits, label)
        return logits.with_shape(2)

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        label = label.reshape(len(logits), *logits.shape[2:])
        found = (logits[:, 0] > 0) if logits.shape[1] == 1 else logits.argmax(1)
        counts = counted(label, self.ignore_index)
        return np.array([((found == label) & counts).sum(), counts.sum()], logits.dtype)

    def summarise(self, total: np.ndarray) -> float:
        return float(total[0] / total[1]) if total[1] else float("nan")

    def flops(self, logits: TensorType) -> Dim:
        return logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        label = np.array([1, 1, 0], np.int32)
        yield Sample(cls(), {"logits": [[1.0, 2.0], [3.0, 0.0], [0.5, 0.0]], "label": label}, {"y": [2.0, 3.0]})
        yield Sample(cls(ignore_index=1), {"logits": [[1.0, 2.0], [3.0, 0.0], [0.5, 0.0]], "label": label}, {"y": [1.0, 1.0]})
