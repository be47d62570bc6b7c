"""pow: Pow at every element."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.arithmetic.pow import Pow
from tests.ops.beside_torch import assert_as_torch

X = np.array([0.25, 1.0, 3.0])


def test_against_the_formula():
    np.testing.assert_allclose(Pow(2.5).forward(X), [math.pow(x, 2.5) for x in X], rtol=1e-14)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(Pow(2.5), lambda x: torch.pow(x, 2.5), x=X)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
def test_gradient_at_zero(exponent):
    torch = pytest.importorskip("torch")
    assert_as_torch(Pow(exponent), lambda x: torch.pow(x, exponent), x=np.array([0.0, -1.0]))


def test_float32_stays_float32():
    assert Pow(3.0).forward(np.float32([2.0])).dtype == np.float32


def test_exponent_must_be_finite():
    with pytest.raises(FlownetError, match="`exponent` of `pow` must be a finite number"):
        Pow(math.inf).checked()
