"""log_softmax: the logarithm of probabilities along an axis."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.activation.log_softmax import LogSoftmax
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


def test_against_a_loop():
    x = numbers(3, 4, 5)
    for axis in range(3):
        y = LogSoftmax(axis=axis).forward(x)
        for index in np.ndindex(3, 4, 5):
            line = x[tuple(slice(None) if i == axis else k for i, k in enumerate(index))]
            share = math.exp(x[index]) / math.fsum(math.exp(value) for value in line)
            assert y[index] == pytest.approx(math.log(share), rel=1e-13)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_beside_torch(axis):
    torch = pytest.importorskip("torch")
    assert_as_torch(LogSoftmax(axis), lambda x: torch.log_softmax(x, dim=axis), x=numbers(3, 4, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand(dtype):
    y = LogSoftmax().forward(np.array([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4, -1e4]], dtype))
    e = math.exp(-1)
    expected = np.array([[1 / (1 + e), e / (1 + e), 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(y[:, :2], np.log(expected[:, :2]), rtol=1e-6)
    assert y[0, 2] == dtype(-2e4 - math.log1p(e))


def test_axis_that_is_not_there():
    with pytest.raises(FlownetError, match=r"`log_softmax` works along axis 2, got float32\[4, 10\]"):
        LogSoftmax(axis=2).infer(TensorType(DType.float32, (4, 10)))


def test_whole_numbers_are_refused():
    with pytest.raises(FlownetError, match="`log_softmax` takes floating-point numbers"):
        LogSoftmax().infer(TensorType(DType.int32, (4, 10)))
