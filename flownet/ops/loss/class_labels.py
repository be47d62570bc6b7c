"""Class numbers as targets: which of them count, and what is wrong with the others."""

from __future__ import annotations

import numpy as np

from flownet.errors import FlownetError
from flownet.ops.requirements import mismatch, require_float
from flownet.types import TensorType

__all__ = ["check_scores_and_labels", "counted_labels"]


def check_scores_and_labels(op: str, scores: TensorType, label: TensorType) -> None:
    """Raise FlownetError unless they are float[n, classes, …] and whole numbers [n, …]."""
    require_float(op, scores=scores)
    if not label.dtype.is_integer:
        raise FlownetError.of("dtype-mismatch", f"`{op}` takes class numbers as labels, got {label}")
    if scores.rank < 2 or label.shape != (scores.shape[0], *scores.shape[2:]):
        one_score = scores.shape == label.shape
        help = "for one score an example there are `binary_cross_entropy` and `binary_accuracy`" if one_score else ""
        raise mismatch(op, "scores [n, classes, …] and class numbers [n, …]", f"{scores} and {label}", help=help)


def counted_labels(
    op: str, label: np.ndarray, classes: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(labels from 0 to classes − 1, where they count); for None all of them count. An ignored label becomes 0.

    Raises FlownetError (`label-range`) for any other number, which it names.
    """
    if not label.size:
        return label, None
    if ignore_index is None:
        low, high = label.min(), label.max()
        if low < 0 or high >= classes:
            raise _out_of_range(op, int(low) if low < 0 else int(high), classes, None)
        return label, None
    counted = label != ignore_index
    label = np.where(counted, label, 0).astype(label.dtype, copy=False)
    low, high = label.min(), label.max()
    if low < 0 or high >= classes:
        raise _out_of_range(op, int(low) if low < 0 else int(high), classes, ignore_index)
    return label, counted


def _out_of_range(op: str, wrong: int, classes: int, ignore_index: int | None) -> FlownetError:
    ignored = f", and {ignore_index}, which is ignored" if ignore_index is not None else ""
    return FlownetError.of(
        "label-range", f"`{op}` got the label {wrong}, but the scores are of {classes} classes",
        f"class numbers run from 0 to {classes - 1}{ignored}",
        help=f"make the last layer larger, or put `ignore_index: {wrong}` where {wrong} says that the class is not known",
    )  # fmt: skip
