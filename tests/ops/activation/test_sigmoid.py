"""sigmoid: the logistic function."""

from __future__ import annotations

import math

import numpy as np

from flownet.ops.activation.sigmoid import Sigmoid
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Sigmoid().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Sigmoid(), functional.sigmoid, x=numbers(4, 5))


def test_far_out_in_both_precisions():
    for dtype in (np.float32, np.float64):
        y = Sigmoid().forward(np.array([-1e4, -100, 100, 1e4], dtype))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, [0, 0, 1, 1], rtol=1e-6, atol=1e-40)


def test_keeps_relative_precision_far_below_zero():
    # 1 - 1/(1 + e) would be 0 here in float32
    np.testing.assert_allclose(Sigmoid().forward(np.float32([-30.0])), [math.exp(-30)], rtol=1e-6)
