"""relu: the rectifier."""

from __future__ import annotations

import math

import numpy as np

from flownet.ops.activation.relu import Relu
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return x if x > 0 else 0.0


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Relu().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Relu(), functional.relu, x=numbers(4, 5))


def test_gradient_at_the_kink_is_zero_as_in_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Relu(), functional.relu, x=np.array([0.0, -0.0, 1.0]))


def test_nan_stays_nan():
    assert np.isnan(Relu().forward(np.array([math.nan]))).all()
