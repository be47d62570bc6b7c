"""transpose: axes in another order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.transpose import Transpose
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


@pytest.mark.parametrize("axes", [*itertools.permutations(range(3))])
def test_against_a_loop(axes):
    x = numbers(2, 3, 4)
    y = Transpose(axes).forward(x)
    for index in np.ndindex(x.shape):
        assert y[tuple(index[axis] for axis in axes)] == x[index]


@pytest.mark.parametrize("axes", [*itertools.permutations(range(3)), (-1, 0, 1)])
def test_beside_torch(axes):
    torch = pytest.importorskip("torch")
    assert_as_torch(Transpose(axes), lambda x: torch.permute(x, axes), x=numbers(2, 3, 4))


def test_no_axes_reverse_them():
    n = Symbolic.symbol("N")
    assert Transpose().infer(TensorType(DType.float32, (n, 2, 3))).shape == (3, 2, n)
    assert_as_torch(Transpose(), lambda x: x.permute(2, 1, 0), x=numbers(2, 3, 4))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((0, 1), "`transpose` takes 2 axes"),
        ((0, 0, 1), "`axes` of `transpose` names axis 0 twice"),
        ((0, 1, 3), "`transpose` works along axis 3"),
    ],
)
def test_axes_that_are_no_permutation(axes, message):
    with pytest.raises(FlownetError, match=message):
        Transpose(axes).infer(TensorType(DType.float32, (2, 3, 4)))
