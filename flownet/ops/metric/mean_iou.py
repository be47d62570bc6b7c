"""mean_iou: how well segments fit, class by class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.ops.metric.confusion_matrix import ConfusionMatrix

__all__ = ["MeanIou"]


@dataclass(frozen=True)
class MeanIou(ConfusionMatrix):
    """The intersection over union of prediction and truth, averaged over the classes: IoU = hits / (hits + misses + false alarms).

    It is taken from the confusion matrix of all pixels of all images. A class that neither occurs nor is predicted does not count.

    classes:      how many classes there are; absent: as many as the scores are of
    ignore_index: a label that does not count: pixels that nobody labelled

    Shapes: logits float32[n, classes, h, w] (any scores will do; float32[n, classes] too), label int32[n, h, w] ->
    int64[classes, classes], the confusion matrix, row by label. The figure is the mean IoU.
    Errors: `label-range` while running, for a label that is no class.
    Source: Everingham et al. 2010, "The PASCAL visual object classes challenge"; Jaccard 1912.
    """

    name = "mean_iou"

    def summarise(self, total: np.ndarray) -> float:
        hits = np.diagonal(total).astype(np.float64)
        union = total.sum(0) + total.sum(1) - hits
        found = union > 0
        return float((hits[found] / union[found]).mean()) if found.any() else float("nan")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        logits = [[[[1.0, 3.0], [0.5, 0.0]], [[2.0, 1.0], [0.0, 1.0]]]]
        yield Sample(
            cls(2), {"logits": logits, "label": np.array([[[1, 0], [1, 1]]], np.int32)}, {"y": [[1, 0], [1, 2]]}
        )
        yield Sample(
            cls(2, ignore_index=2),
            {"logits": logits, "label": np.array([[[1, 0], [2, 2]]], np.int32)},
            {"y": [[1, 0], [0, 1]]},
        )
