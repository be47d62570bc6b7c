"""confusion_matrix: how often each class was taken for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flownet.op import Metric, Sample
from flownet.ops.metric.class_axis import check_labels, check_scores, counted
from flownet.ops.requirements import mismatch
from flownet.types import Dim, TensorType

__all__ = ["ConfusionMatrix"]


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """How often each class was taken for each: row t, column p counts the labels t whose largest score is p's.

    ignore_index: a label that does not count

    Shapes: logits float32[n, classes, …], label int32[n, …] -> float32[classes, classes]. Gradient: none.
    Errors: a label that is no class (`label-range`).
    """

    ignore_index: int | None = None

    name = "confusion_matrix"

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        check_scores(self.name, logits, label)
        if not isinstance(logits.shape[1], int):
            raise mismatch(self.name, "scores with a number of classes", logits)
        return logits.with_shape(logits.shape[1], logits.shape[1])

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        classes, counts = logits.shape[1], counted(label, self.ignore_index)
        truth = label[counts].astype(np.int64)
        check_labels(self.name, truth, classes)
        pairs = truth * classes + logits.argmax(1)[counts]
        return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(logits.dtype)

    def summarise(self, total: np.ndarray) -> Any:
        return total.tolist()

    def flops(self, logits: TensorType) -> Dim:
        return logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits, label = [[2.0, 1.0], [1.0, 2.0], [0.0, 3.0]], np.array([0, 0, 1], np.int32)
        yield Sample(cls(), {"logits": logits, "label": label}, {"y": [[1.0, 1.0], [0.0, 1.0]]})
