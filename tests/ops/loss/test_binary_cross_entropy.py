"""binary_cross_entropy: beside PyTorch, far out, and for targets that are no probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.loss.binary_cross_entropy import BinaryCrossEntropy
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_beside_torch(reduction):
    functional = pytest.importorskip("torch.nn.functional")
    target = np.random.default_rng(1).random((4, 3))
    op = BinaryCrossEntropy(reduction)
    torchs = functional.binary_cross_entropy_with_logits
    assert_as_torch(op, lambda z, t: torchs(z, t, reduction=reduction), logits=3 * numbers(4, 3), target=target)


def test_whole_numbers_as_targets():
    logits, target = numbers(6), np.array([0, 1, 1, 0, 1, 0])
    op = BinaryCrossEntropy()
    assert op.forward(logits, target.astype(np.int32)) == op.forward(logits, target.astype(np.float64))
    assert op.forward(logits, target.astype(bool)) == op.forward(logits, target.astype(np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out(dtype):
    logits, target = np.array([1e4, -1e4, 1e4, -1e4], dtype), np.array([1, 0, 0, 1], dtype)
    op = BinaryCrossEntropy("none")
    np.testing.assert_array_equal(op.forward(logits, target), np.array([0, 0, 1e4, 1e4], dtype))
    np.testing.assert_array_equal(op.backward(logits, target, np.ones(4, dtype)), np.array([0, 0, 1, -1], dtype))


@pytest.mark.parametrize(("target", "wrong"), [([0.0, 1.5], "1.5"), ([-1.0, 1.0], "-1.0"), ([0.0, np.nan], "nan")])
def test_targets_that_are_no_probabilities(target, wrong):
    with pytest.raises(FlownetError, match=f"`binary_cross_entropy` takes targets from 0 to 1, got {wrong}") as error:
        BinaryCrossEntropy().forward(np.zeros(2), np.array(target))
    assert error.value.diagnostics[0].code == "label-range"


def test_inputs_that_it_does_not_take():
    with pytest.raises(FlownetError, match="takes logits and targets of one shape") as error:
        BinaryCrossEntropy().infer(TensorType(DType.float32, (8, 1)), TensorType(DType.int32, (8,)))
    assert error.value.diagnostics[0].help == "a `reshape` makes them equal"
