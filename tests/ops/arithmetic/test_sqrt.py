"""sqrt: Sqrt at every element."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.ops.arithmetic.sqrt import Sqrt
from tests.ops.beside_torch import assert_as_torch

X = np.array([1e-300, 0.25, 1.0, 3.0, 1e300])


def test_against_the_formula():
    np.testing.assert_allclose(Sqrt().forward(X), [math.sqrt(x) for x in X], rtol=1e-14)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(Sqrt(), torch.sqrt, x=X)
