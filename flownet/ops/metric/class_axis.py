"""Scores and labels as metrics take them: classes along axis 1, whatever lies behind it."""

from __future__ import annotations

import numpy as np

from flownet.errors import FlownetError
from flownet.ops.requirements import mismatch
from flownet.types import TensorType

__all__ = ["check_labels", "check_scores", "counted"]


def check_scores(op: str, logits: TensorType, label: TensorType) -> None:
    """Raise FlownetError unless they are scores float[n, classes, …] and labels int[n, …]."""
    if logits.rank < 2 or not logits.dtype.is_float:
        raise mismatch(op, "scores float32[n, classes, ...]", logits)
    if not label.dtype.is_integer:
        raise FlownetError.of("dtype-mismatch", f"`{op}` takes class indices as `label`, got {label}")
    if label.shape != (logits.shape[0], *logits.shape[2:]):
        raise mismatch(op, f"for the scores {logits} labels of the shape without the classes", label)


def counted(label: np.ndarray, ignore_index: int | None) -> np.ndarray:
    """bool, of label's shape: which labels count."""
    return np.ones(label.shape, bool) if ignore_index is None else label != ignore_index


def check_labels(op: str, label: np.ndarray, classes: int) -> None:
    """Raise FlownetError (`label-range`) for a label that is no class; `label` holds those that count."""
    if label.size and (label.min() < 0 or label.max() >= classes):
        wrong = int(label.min() if label.min() < 0 else label.max())
        raise FlownetError.of(
            "label-range", f"`{op}` has {classes} classes, 0 to {classes - 1}, got the label {wrong}",
            help="set the number of classes, or `ignore_index` for labels that mean nothing",
        )  # fmt: skip
