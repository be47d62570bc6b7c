"""exp: Exp at every element."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.ops.arithmetic.exp import Exp
from tests.ops.beside_torch import assert_as_torch

X = np.array([-700.0, -1.5, 0.0, 2.25, 700.0])


def test_against_the_formula():
    np.testing.assert_allclose(Exp().forward(X), [math.exp(x) for x in X], rtol=1e-14)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(Exp(), torch.exp, x=X)
