"""gelu: the Gaussian error linear unit."""

from __future__ import annotations

import math

import numpy as np

from flownet.ops.activation.gelu import Gelu
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Gelu().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Gelu(), functional.gelu, x=numbers(4, 5))


def test_tanh_approximation_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Gelu("tanh"), lambda x: functional.gelu(x, approximate="tanh"), x=numbers(4, 5))


def test_approximation_is_as_near_as_the_docstring_says():
    x = np.linspace(-8, 8, 2001)
    assert 1e-4 < np.abs(Gelu("tanh").forward(x) - Gelu().forward(x)).max() < 5e-4
