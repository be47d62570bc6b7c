"""top_k_accuracy: how often the label is among the k largest scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.ops.metric.share import ShareMetric
from flownet.ops.requirements import bad_attribute
from flownet.types import Dim, TensorType

__all__ = ["TopKAccuracy"]


@dataclass(frozen=True)
class TopKAccuracy(ShareMetric):
    """The share of examples, or of pixels, whose label is among the k largest scores. Of equal scores the first ones count.

    k:            how many guesses there are
    ignore_index: a label that does not count, neither as right nor as wrong

    Shapes: logits float32[n, classes] or float32[n, classes, h, w] (any scores will do), label int32[n] or int32[n, h, w] ->
    float32[2]: how many are right, and how many count. The figure is their quotient.
    Source: Russakovsky et al. 2015, "ImageNet large scale visual recognition challenge", where k is 5.
    """

    k: int = 5
    ignore_index: int | None = None

    name = "top_k_accuracy"

    def checked(self) -> None:
        if self.k < 1:
            raise bad_attribute(self.name, "k", "at least 1", self.k)

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        result = super().infer(logits, label)
        classes = logits.shape[1]
        if isinstance(classes, int) and self.k > classes:
            raise bad_attribute(self.name, "k", f"at most {classes}, the number of classes", self.k)
        return result

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        classes = logits.shape[1]
        if not classes:
            return self._counts(np.zeros(label.shape, bool), label, self.ignore_index, logits)
        known = (label >= 0) & (label < classes)
        at = np.where(known, label, 0)[:, None]
        score = np.take_along_axis(logits, at, 1)
        number = np.arange(classes).reshape(-1, *(1,) * (logits.ndim - 2))
        # fewer than k stand before it: a label is found without sorting
        before = np.count_nonzero((logits > score) | ((logits == score) & (number < at)), axis=1)
        return self._counts(known & (before < self.k), label, self.ignore_index, logits)

    def flops(self, logits: TensorType) -> Dim:
        return 2 * logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits = [[1.0, 3.0, 2.0], [0.5, 0.0, 0.25], [-1.0, -2.0, -3.0], [0.0, 0.0, 0.0]]
        label = np.array([2, 1, 2, 1], np.int32)
        yield Sample(cls(k=2), {"logits": logits, "label": label}, {"y": [2.0, 4.0]})
        yield Sample(cls(k=3, ignore_index=1), {"logits": logits, "label": label}, {"y": [2.0, 2.0]})
