"""mean_iou: how well predicted and true regions overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.ops.metric.confusion_matrix import ConfusionMatrix

__all__ = ["MeanIou"]


@dataclass(frozen=True)
class MeanIou(ConfusionMatrix):
    """Intersection over union of predicted and true pixels, TP / (TP + FP + FN), as a mean over the classes.

    ignore_index: a label that does not count

    Shapes: logits float32[n, classes, …], label int32[n, …] -> float32[classes, classes], the confusion matrix; the figure is
    taken of its sum over all batches. A class that neither occurs nor is predicted is left out. Gradient: none.
    Errors: a label that is no class (`label-range`). Source: PASCAL VOC (Everingham et al. 2015).
    """

    name = "mean_iou"

    def summarise(self, total: np.ndarray) -> float:
        hit = np.diag(total)
        union = total.sum(0) + total.sum(1) - hit
        present = union > 0
        return float((hit[present] / union[present]).mean()) if present.any() else float("nan")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits, label = [[2.0, 1.0], [1.0, 2.0], [0.0, 3.0], [0.0, 3.0]], np.array([0, 0, 1, 9], np.int32)
        yield Sample(cls(ignore_index=9), {"logits": logits, "label": label}, {"y": [[1.0, 1.0], [0.0, 1.0]]})
