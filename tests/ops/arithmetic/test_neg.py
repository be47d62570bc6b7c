"""neg: Neg at every element."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.ops.arithmetic.neg import Neg
from tests.ops.beside_torch import assert_as_torch

X = np.array([-2.5, 0.0, 3.0])


def test_against_the_formula():
    np.testing.assert_allclose(Neg().forward(X), [-x for x in X], rtol=1e-14)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(Neg(), torch.neg, x=X)
