"""Metrics: beside scikit-learn over batches of several sizes, for a figure must not depend on how an epoch is cut."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.op.metric import Metric
from flownet.ops.metric.accuracy import Accuracy
from flownet.ops.metric.binary_accuracy import BinaryAccuracy
from flownet.ops.metric.confusion_matrix import ConfusionMatrix
from flownet.ops.metric.mean_absolute_error import MeanAbsoluteError
from flownet.ops.metric.mean_iou import MeanIou
from flownet.ops.metric.r2 import R2
from flownet.ops.metric.top_k_accuracy import TopKAccuracy
from flownet.types import DType, TensorType
from tests.ops.beside_torch import numbers

CUTS = [[], [1], [10, 11], [7, 30, 31]]


def figure(op: Metric, *arrays: np.ndarray, cuts: list[int]) -> object:
    """What the training code does: sums over batches, summarised."""
    batches = zip(*(np.split(array, cuts) for array in arrays), strict=True)
    return op.summarise(np.sum([op.forward(*batch).astype(np.float64) for batch in batches], axis=0))


@pytest.fixture
def scored():
    """Scores of 5 classes and labels that they guess somewhat."""
    label = np.random.default_rng(0).integers(0, 5, 50)
    return numbers(50, 5) + 1.2 * np.eye(5)[label], label


@pytest.mark.parametrize("cuts", CUTS)
def test_beside_scikit_learn(scored, cuts):
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, label = scored
    guess = scores.argmax(1)
    assert figure(Accuracy(), scores, label, cuts=cuts) == pytest.approx(sklearn.accuracy_score(label, guess))
    for k in (1, 2, 4):
        expected = sklearn.top_k_accuracy_score(label, scores, k=k)
        assert figure(TopKAccuracy(k), scores, label, cuts=cuts) == pytest.approx(expected)
    assert figure(ConfusionMatrix(5), scores, label, cuts=cuts) == sklearn.confusion_matrix(label, guess).tolist()
    expected = sklearn.jaccard_score(label, guess, average="macro")
    assert figure(MeanIou(5), scores, label, cuts=cuts) == pytest.approx(expected)


@pytest.mark.parametrize("cuts", CUTS)
def test_regression_beside_scikit_learn(cuts):
    sklearn = pytest.importorskip("sklearn.metrics")
    x, target = numbers(50, 1), 0.5 * numbers(50, 1) + numbers(50, 1, seed=1) + 100
    assert figure(MeanAbsoluteError(), x, target, cuts=cuts) == pytest.approx(sklearn.mean_absolute_error(target, x))
    assert figure(R2(), x, target, cuts=cuts) == pytest.approx(sklearn.r2_score(target, x), rel=1e-9)


def test_pixels_that_nobody_labelled(scored):
    """Per pixel, the ignored ones among them, is as for a list of those that count."""
    scores, label = scored
    image = np.moveaxis(scores.reshape(2, 5, 5, 5), 3, 1)
    truth = label.reshape(2, 5, 5).copy()
    truth[1, 2:] = 255
    counted = truth.reshape(-1) != 255
    for op, plain in [
        (Accuracy(255), Accuracy()),
        (TopKAccuracy(2, 255), TopKAccuracy(2)),
        (ConfusionMatrix(5, 255), ConfusionMatrix(5)),
        (MeanIou(5, 255), MeanIou(5)),
    ]:
        assert figure(op, image, truth, cuts=[1]) == figure(plain, scores[counted], label[counted], cuts=[])


def test_a_class_that_does_not_occur_does_not_count():
    scores, label = np.eye(4)[[0, 1, 1]], np.array([0, 1, 0])
    # class 0: 1 of 2, class 1: 1 of 2; classes 2 and 3 nowhere
    assert figure(MeanIou(4), scores, label, cuts=[]) == 0.5


def test_equal_scores():
    scores, label = np.zeros((3, 4)), np.array([0, 1, 3])
    np.testing.assert_array_equal(Accuracy().forward(scores, label), [1, 3])
    np.testing.assert_array_equal(TopKAccuracy(2).forward(scores, label), [2, 3])


def test_binary_accuracy():
    logits, target = np.array([2.0, -1.0, 0.0, 3.0]), np.array([1, 0, 0, 0])
    assert figure(BinaryAccuracy(), logits, target, cuts=[1]) == 0.75
    assert figure(BinaryAccuracy(threshold=2.5), logits, target, cuts=[1]) == 0.5


@pytest.mark.parametrize("op", [Accuracy(ignore_index=0), MeanIou(3, ignore_index=0)])
def test_where_nothing_counts_the_figure_is_nan(op):
    assert math.isnan(figure(op, numbers(4, 3), np.zeros(4, int), cuts=[]))


def test_counts_stay_exact_in_float32():
    label = np.zeros(1_000_003, np.int32)
    np.testing.assert_array_equal(
        Accuracy().forward(np.ones((len(label), 1), np.float32), label), [1_000_003, 1_000_003]
    )


@pytest.mark.parametrize("op", [ConfusionMatrix(3), MeanIou(3)])
def test_labels_that_are_no_classes(op):
    with pytest.raises(FlownetError, match=f"`{op.name}` got the label 3, but the scores are of 3 classes"):
        op.forward(numbers(4, 3), np.array([0, 1, 2, 3]))


def test_inputs_that_they_do_not_take():
    scores, label = TensorType(DType.float32, (8, 10)), TensorType(DType.int32, (8,))
    assert str(Accuracy().infer(scores, label)) == "float32[2]"
    assert str(MeanIou().infer(scores, label)) == str(MeanIou(10).infer(scores, label)) == "int64[10, 10]"
    with pytest.raises(FlownetError, match="takes scores of 11 classes, as `classes` says"):
        MeanIou(11).infer(scores, label)
    for op in (Accuracy(), TopKAccuracy(), MeanIou(10)):
        with pytest.raises(FlownetError, match="takes class numbers as labels"):
            op.infer(scores, label.with_dtype(DType.float32))
    with pytest.raises(FlownetError, match=r"`accuracy` takes scores \[n, classes, …\] and class numbers") as error:
        Accuracy().infer(scores.with_shape(8, 1), label.with_shape(8, 1))
    assert "`binary_accuracy`" in error.value.diagnostics[0].help
    with pytest.raises(FlownetError, match="`r2` takes x and target of one shape"):
        R2().infer(scores, scores.with_shape(8))


def test_attributes_out_of_range():
    with pytest.raises(FlownetError, match="`k` of `top_k_accuracy` must be at least 1"):
        TopKAccuracy(0).checked()
    with pytest.raises(FlownetError, match="`classes` of `mean_iou` must be at least 1"):
        MeanIou(0).checked()
