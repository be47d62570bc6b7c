"""leaky_relu: a rectifier that lets a little through."""

from __future__ import annotations

import numpy as np

from flownet.ops.activation.leaky_relu import LeakyRelu
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return x if x > 0 else 0.01 * x


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(LeakyRelu().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(LeakyRelu(), functional.leaky_relu, x=numbers(4, 5))


def test_slope():
    np.testing.assert_allclose(LeakyRelu(slope=-0.5).forward(np.array([-4.0, 4.0])), [2.0, 4.0])
