"""softmax: probabilities along an axis."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.activation.softmax import Softmax
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


def test_against_a_loop():
    x = numbers(3, 4, 5)
    for axis in range(3):
        y = Softmax(axis=axis).forward(x)
        for index in np.ndindex(3, 4, 5):
            line = x[tuple(slice(None) if i == axis else k for i, k in enumerate(index))]
            share = math.exp(x[index]) / math.fsum(math.exp(value) for value in line)
            assert y[index] == pytest.approx(share, rel=1e-13)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_beside_torch(axis):
    torch = pytest.importorskip("torch")
    assert_as_torch(Softmax(axis), lambda x: torch.softmax(x, dim=axis), x=numbers(3, 4, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand(dtype):
    y = Softmax().forward(np.array([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4, -1e4]], dtype))
    e = math.exp(-1)
    expected = np.array([[1 / (1 + e), e / (1 + e), 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert (y.sum(axis=1) - 1 < 1e-6).all()


def test_axis_that_is_not_there():
    with pytest.raises(FlownetError, match=r"`softmax` works along axis 2, got float32\[4, 10\]"):
        Softmax(axis=2).infer(TensorType(DType.float32, (4, 10)))


def test_whole_numbers_are_refused():
    with pytest.raises(FlownetError, match="`softmax` takes floating-point numbers"):
        Softmax().infer(TensorType(DType.int32, (4, 10)))
