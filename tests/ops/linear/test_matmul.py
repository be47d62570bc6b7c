"""matmul: the matrix product."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.linear.matmul import Matmul
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N = DType.float32, Symbolic.symbol("N")


def test_against_a_loop():
    a, b = numbers(2, 3, 4), numbers(4, 5, seed=1)
    y = Matmul().forward(a, b)
    for i, j, k in np.ndindex(2, 3, 5):
        assert y[i, j, k] == pytest.approx(sum(a[i, j, m] * b[m, k] for m in range(4)), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((1, 2, 3), (5, 3, 1)),
    ],
)
def test_beside_torch(a, b):
    torch = pytest.importorskip("torch")
    assert_as_torch(Matmul(), torch.matmul, a=numbers(*a), b=numbers(*b, seed=1))


def test_symbols_and_multiply_adds():
    a, b = TensorType(FLOAT, (N, 2, 3)), TensorType(FLOAT, (3, 4))
    y = Matmul().infer(a, b)
    assert y.shape == (N, 2, 4)
    assert Matmul().cost({"a": a, "b": b}, [y]) == (48 * N, 24 * N)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((2, 3), (4, 5), r"`matmul` takes \[..., n, k\] and \[..., k, m\], got float32\[2, 3\] and float32\[4, 5\]"),
        ((3,), (3, 4), "`matmul` takes matrices"),
        ((2, 2, 3), (3, 3, 4), "`matmul` cannot combine the shapes"),
    ],
)
def test_shapes_that_do_not_meet(a, b, message):
    with pytest.raises(FlownetError, match=message):
        Matmul().infer(TensorType(FLOAT, a), TensorType(FLOAT, b))
