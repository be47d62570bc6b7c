"""cross_entropy: beside PyTorch in all its forms, far out, and for labels that are no classes."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.loss.cross_entropy import CrossEntropy
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, INT = DType.float32, DType.int32
N = Symbolic.symbol("N")
WEIGHTS = (0.5, 2.0, 1.0, 0.25, 3.0)


def labels(*shape):
    found = np.random.default_rng(5).integers(0, 5, shape)
    found.flat[:2] = (1, 3)  # one of each class that the tests ignore
    return found


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [None, 3, 255])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_numbers_beside_torch(shape, reduction, ignore_index, weights, smoothing):
    functional, torch = pytest.importorskip("torch.nn.functional"), pytest.importorskip("torch")
    target = labels(*shape)
    if ignore_index == 255:
        target.flat[2] = 255
    op = CrossEntropy(reduction, ignore_index, weights, smoothing)

    def torchs(logits, target):
        weight = None if weights is None else torch.tensor(weights, dtype=logits.dtype)
        ignored = -100 if ignore_index is None else ignore_index
        return functional.cross_entropy(
            logits, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=smoothing
        )

    assert_as_torch(op, torchs, logits=3 * numbers(shape[0], 5, *shape[1:]), target=target)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_targets_beside_torch(shape, reduction, weights, smoothing):
    """And the gradient of the targets, which distillation between two nets needs."""
    functional, torch = pytest.importorskip("torch.nn.functional"), pytest.importorskip("torch")
    target = np.random.default_rng(6).random((shape[0], 5, *shape[1:]))
    target /= target.sum(1, keepdims=True)

    def torchs(logits, target):
        weight = None if weights is None else torch.tensor(weights, dtype=logits.dtype)
        return functional.cross_entropy(logits, target, weight, reduction=reduction, label_smoothing=smoothing)

    op = CrossEntropy(reduction, None, weights, smoothing)
    assert_as_torch(op, torchs, logits=3 * numbers(*target.shape), target=target)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out(dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4, 1e4]], dtype)
    op = CrossEntropy("none")
    np.testing.assert_array_equal(op.forward(logits, np.array([2, 2])), np.array([2e4, 0], dtype))
    gradient = op.backward(logits, np.array([2, 2]), np.ones(2, dtype))
    np.testing.assert_array_equal(gradient, np.array([[1, 0, -1], [0, 0, 0]], dtype))


def test_where_all_is_ignored_the_loss_is_zero():
    logits, target = numbers(3, 4), np.full(3, 9)
    op = CrossEntropy(ignore_index=9)
    assert op.forward(logits, target) == 0
    np.testing.assert_array_equal(op.backward(logits, target, np.float64(1)), np.zeros((3, 4)))


@pytest.mark.parametrize(("label", "ignore_index"), [(4, None), (-1, None), (255, None), (4, 255), (-1, 255)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_that_are_no_classes(label, ignore_index, smoothing):
    op = CrossEntropy(ignore_index=ignore_index, label_smoothing=smoothing)
    target = np.array([0, label, 3] if ignore_index is None else [0, label, ignore_index], np.int32)
    with pytest.raises(
        FlownetError, match=f"`cross_entropy` got the label {label}, but the scores are of 4 classes"
    ) as error:
        op.forward(numbers(3, 4), target)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "label-range"
    assert diagnostic.notes[0].startswith("class numbers run from 0 to 3")


def test_unsigned_labels():
    logits = numbers(3, 4)
    assert CrossEntropy().forward(logits, np.array([0, 3, 1], np.uint8)) == CrossEntropy().forward(
        logits, np.array([0, 3, 1])
    )


@pytest.mark.parametrize(
    ("op", "logits", "target", "message"),
    [
        (
            CrossEntropy(),
            (FLOAT, (N, 10)),
            (INT, (N, 10)),
            r"takes scores \[n, classes, …\] and class numbers \[n, …\]",
        ),
        (CrossEntropy(), (FLOAT, (N, 10)), (FLOAT, (N, 9)), "takes logits .* and soft targets of one shape"),
        (CrossEntropy(), (FLOAT, (N, 10)), (FLOAT, (N,)), "takes class numbers as labels, got float32"),
        (CrossEntropy(), (INT, (N, 10)), (INT, (N,)), "takes floating-point numbers as `logits`"),
        (CrossEntropy(class_weights=(1.0,)), (FLOAT, (N, 10)), (INT, (N,)), "as many classes as `class_weights`"),
        (
            CrossEntropy(ignore_index=0),
            (FLOAT, (N, 10)),
            (FLOAT, (N, 10)),
            "`ignore_index` of `cross_entropy` is about class numbers",
        ),
    ],
)
def test_inputs_that_it_does_not_take(op, logits, target, message):
    with pytest.raises(FlownetError, match=message):
        op.infer(TensorType(*logits), TensorType(*target))


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (CrossEntropy("total"), "`reduction` of `cross_entropy` must be"),
        (CrossEntropy(label_smoothing=1.5), "`label_smoothing` of `cross_entropy` must be from 0 to 1"),
        (CrossEntropy(class_weights=(1.0, -1.0)), "`class_weights` of `cross_entropy` must be at least 0"),
    ],
)
def test_attributes_out_of_range(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()
