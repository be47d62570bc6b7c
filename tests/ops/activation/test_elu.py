"""elu: the exponential linear unit."""

from __future__ import annotations

import math

import numpy as np

from flownet.errors import FlownetError
from flownet.ops.activation.elu import Elu
from tests.ops.beside_torch import assert_as_torch, numbers


def _naive(x: float) -> float:
    return x if x > 0 else math.expm1(x)


def test_against_the_formula():
    x = np.linspace(-12, 12, 97)
    expected = [_naive(value) for value in x]
    np.testing.assert_allclose(Elu().forward(x), expected, rtol=1e-13, atol=1e-15)


def test_beside_torch():
    import pytest

    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Elu(), functional.elu, x=numbers(4, 5))


def test_alpha():
    np.testing.assert_allclose(Elu(alpha=3.0).forward(np.array([-1.0, 2.0])), [3 * math.expm1(-1), 2.0], rtol=1e-15)


def test_alpha_must_be_positive():
    import pytest

    with pytest.raises(FlownetError, match=r"`alpha` of `elu` must be a positive number, got -1\.0"):
        Elu(alpha=-1.0).checked()
