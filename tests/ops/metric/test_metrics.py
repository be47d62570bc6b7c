"""Metrics against counts made by hand and by loops, and over batches of different sizes."""

from __future__ import annotations

import numpy as np
import pytest

from flownet import FlownetError
from flownet.ops.metric.accuracy import Accuracy
from flownet.ops.metric.confusion_matrix import ConfusionMatrix
from flownet.ops.metric.mean_absolute_error import MeanAbsoluteError
from flownet.ops.metric.mean_iou import MeanIou
from flownet.ops.metric.top_k_accuracy import TopKAccuracy


def _pixels():
    rng = np.random.default_rng(5)
    return rng.normal(size=(3, 4, 5, 6)).astype(np.float32), rng.integers(0, 5, (3, 5, 6)).astype(np.int32)  # 4 means nothing


def test_accuracy_of_pixels_beside_a_loop():
    logits, label = _pixels()
    right = total = 0
    for n, i, j in np.ndindex(label.shape):
        if label[n, i, j] != 4:
            total += 1
            right += max(range(4), key=lambda c: logits[n, c, i, j]) == label[n, i, j]
    np.testing.assert_array_equal(Accuracy(ignore_index=4).forward(logits, label), [right, total])


def test_accuracy_of_two_classes_by_one_score():
    assert Accuracy().forward(np.array([[0.5], [-2.0], [3.0]]), np.array([[1], [0], [0]])).tolist() == [2, 3]


def test_a_figure_over_uneven_batches_is_that_of_all_examples():
    logits, label = np.eye(4)[[0, 1, 2, 3, 0]], np.array([0, 1, 2, 0, 1])
    op = Accuracy()
    total = op.forward(logits[:4], label[:4]) + op.forward(logits[4:], label[4:])
    assert op.summarise(total) == 3 / 5  # the mean of the batches' figures would be 3/8


def test_top_k_beside_sorting():
    rng = np.random.default_rng(1)
    logits, label = rng.normal(size=(50, 10)), rng.integers(0, 10, 50)
    expected = sum(label[i] in np.argsort(-logits[i])[:3] for i in range(50))
    assert TopKAccuracy(k=3).forward(logits, label).tolist() == [expected, 50]


def test_confusion_matrix_and_iou_beside_loops():
    logits, label = _pixels()
    matrix = np.zeros((4, 4))
    for n, i, j in np.ndindex(label.shape):
        if label[n, i, j] != 4:
            matrix[label[n, i, j], np.argmax(logits[n, :, i, j])] += 1
    np.testing.assert_array_equal(ConfusionMatrix(ignore_index=4).forward(logits, label), matrix)
    ious = [matrix[c, c] / (matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]) for c in range(4)]
    assert MeanIou(ignore_index=4).summarise(matrix) == pytest.approx(sum(ious) / 4)


def test_a_class_that_is_nowhere_does_not_count():
    assert MeanIou().summarise(np.array([[2.0, 0, 0], [2, 4, 0], [0, 0, 0]])) == pytest.approx((2 / 4 + 4 / 6) / 2)


def test_nothing_counted_is_no_number():
    for op in (Accuracy(), TopKAccuracy(), MeanAbsoluteError()):
        assert np.isnan(op.summarise(np.zeros(2)))
    assert np.isnan(MeanIou().summarise(np.zeros((2, 2))))


def test_a_label_out_of_range():
    with pytest.raises(FlownetError, match="got the label 7"):
        ConfusionMatrix().forward(np.zeros((1, 3)), np.array([7]))


def test_mean_absolute_error():
    op = MeanAbsoluteError()
    assert op.summarise(op.forward(np.array([[1.0], [4.0]]), np.array([[2.0], [1.0]]))) == 2.0
