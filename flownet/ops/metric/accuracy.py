"""accuracy: how often the largest score is the label's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.ops.metric.share import ShareMetric
from flownet.types import Dim, TensorType

__all__ = ["Accuracy"]


@dataclass(frozen=True)
class Accuracy(ShareMetric):
    """The share of examples, or of pixels, whose largest score is the label's. Of equal scores the first one counts.

    ignore_index: a label that does not count, neither as right nor as wrong: pixels that nobody labelled

    Shapes: logits float32[n, classes] or float32[n, classes, h, w] (any scores will do), label int32[n] or int32[n, h, w] ->
    float32[2]: how many are right, and how many count. The figure is their quotient.
    """

    ignore_index: int | None = None

    name = "accuracy"

    def forward(self, logits: np.ndarray, label: np.ndarray) -> np.ndarray:
        return self._counts(logits.argmax(1) == label, label, self.ignore_index, logits)

    def flops(self, logits: TensorType) -> Dim:
        return logits.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits = [[1.0, 3.0, 2.0], [0.5, 0.0, 0.25], [-1.0, -2.0, -3.0]]
        yield Sample(cls(), {"logits": logits, "label": np.array([1, 2, 0], np.int32)}, {"y": [2.0, 3.0]})
        yield Sample(cls(ignore_index=255), {"logits": [[[[1.0, 3.0]], [[2.0, 3.5]]]], "label": np.array([[[1, 255]]], np.int32)},
                     {"y": [1.0, 1.0]}, note="per pixel, one of them not labelled")  # fmt: skip
