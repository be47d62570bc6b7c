"""tanh: the hyperbolic tangent."""

from __future__ import annotations

import math

import numpy as np

from flownet.ops.activation.tanh import Tanh
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return math.tanh(x)


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Tanh().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Tanh(), functional.tanh, x=numbers(4, 5))


def test_far_out_in_both_precisions():
    for dtype in (np.float32, np.float64):
        y = Tanh().forward(np.array([-1e4, -100, 100, 1e4], dtype))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, [-1, -1, 1, 1], rtol=1e-6, atol=0)
