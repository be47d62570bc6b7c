"""Metrics that are the share of examples for which something is true."""

from __future__ import annotations

import numpy as np

from flownet.op.metric import Metric
from flownet.ops.loss.class_labels import check_scores_and_labels
from flownet.types import TensorType

__all__ = ["ShareMetric"]


class ShareMetric(Metric):
    """Base class: the output is [right, counted], of the scores' element type; the figure is right / counted."""

    def infer(self, logits: TensorType, label: TensorType) -> TensorType:
        check_scores_and_labels(self.name, logits, label)
        return logits.with_shape(2)

    def summarise(self, total: np.ndarray) -> float:
        right, counted = total
        return float(right / counted) if counted else float("nan")

    def _counts(self, right: np.ndarray, label: np.ndarray, ignore_index: int | None, logits: np.ndarray) -> np.ndarray:
        counted = label.size
        if ignore_index is not None:
            counts = label != ignore_index
            right, counted = right & counts, int(np.count_nonzero(counts))
        return np.array([np.count_nonzero(right), counted], logits.dtype)
