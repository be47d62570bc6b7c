"""confusion_matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.op.metric import Metric
from flownet.ops.loss.class_labels import check_scores_and_labels, counted_labels
from flownet.ops.requirements import bad_attribute, mismatch
from flownet.types import Dim, DType, TensorType

__all__ = ["ConfusionMatrix"]


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """How many examples, or pixels, of each class are taken for each class: row by the label, column by the largest score.

    classes:      how many classes there are; absent: as many as the scores are of
    ignore_index: a label that does not count

    Shapes: logits float32[n, classes] or float32[n, classes, h, w] (any scores will do), label int32[n] or int32[n, h, w] ->
    int64[classes, classes]. The figure is the matrix of all batches, as rows.
    Errors: `label-range` while running, for a label that is no class.
    """

    classes: int | None = None
    ignore_index: int | None = None

    name = "confusion_matrix"
    class_numbers = {"label": "logits"}

    def checked(self) -> None:
        if self.classes is not None and self.classes < 1:
            raise bad_attribute(self.name, "classes", "at least 1", self.classes)

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        check_scores_and_labels(self.name, logits, label)
        classes = logits.shape[1] if self.classes is None else self.classes
        if isinstance(logits.shape[1], int) and logits.shape[1] != classes:
            raise mismatch(self.name, f"scores of {classes} classes, as `classes` says", logits)
        return TensorType(DType.int64, (classes, classes))

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        classes = logits.shape[1]
        label, counted = counted_labels(self.name, label, classes, self.ignore_index)
        if not label.size:
            return np.zeros((classes, classes), np.int64)
        cell = label.astype(np.int64) * classes + logits.argmax(1)
        cell = cell.reshape(-1) if counted is None else cell[counted]
        return np.bincount(cell, minlength=classes**2).reshape(classes, classes)

    def summarise(self, total: np.ndarray) -> float | list:
        return total.astype(np.int64).tolist()

    def flops(self, logits: TensorType) -> Dim:
        return logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits = [[1.0, 3.0], [0.5, 0.0], [-1.0, -2.0], [0.0, 1.0]]
        yield Sample(cls(2), {"logits": logits, "label": np.array([1, 1, 0, 0], np.int32)}, {"y": [[1, 1], [1, 1]]})
        yield Sample(
            cls(ignore_index=7),
            {"logits": logits, "label": np.array([1, 7, 0, 1], np.int32)},
            {"y": [[1, 0], [0, 2]]},
        )
