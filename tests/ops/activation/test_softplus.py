"""softplus: a smooth rectifier."""

from __future__ import annotations

import math

import numpy as np

from flownet.ops.activation.softplus import Softplus
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return math.log(1 + math.exp(x)) if x > -5 else math.log1p(math.exp(x))


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Softplus().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Softplus(), functional.softplus, x=numbers(4, 5))


def test_far_out_in_both_precisions():
    for dtype in (np.float32, np.float64):
        y = Softplus().forward(np.array([-1e4, -100, 100, 1e4], dtype))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, [0, 0, 100, 1e4], rtol=1e-6, atol=1e-40)


def test_does_not_lose_what_is_far_below_zero():
    np.testing.assert_allclose(Softplus().forward(np.float32([-40.0])), [math.exp(-40)], rtol=1e-6)
