"""max: along one axis, some, or all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.reduction.max import Max
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
AXES = [0, -1, (1,), (0, 2), (2, 0), (-3, 1), "all"]


@pytest.mark.parametrize("axes", AXES)
def test_against_a_loop(axes):
    x = numbers(2, 3, 4)
    gone = {a % 3 for a in ((0, 1, 2) if axes == "all" else (axes,) if isinstance(axes, int) else axes)}
    y = Max(axes, keepdims=True).forward(x)
    assert y.shape == tuple(1 if axis in gone else size for axis, size in enumerate(x.shape))
    for place in np.ndindex(y.shape):
        ranges = [range(x.shape[axis]) if axis in gone else [k] for axis, k in enumerate(place)]
        values = [x[index] for index in itertools.product(*ranges)]
        assert y[place] == pytest.approx(max(values), rel=1e-14, abs=1e-15)
    np.testing.assert_array_equal(Max(axes).forward(x), y.squeeze(tuple(gone)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", AXES)
def test_beside_torch(axes, keepdims):
    torch = pytest.importorskip("torch")
    dim = (0, 1, 2) if axes == "all" else axes
    assert_as_torch(Max(axes, keepdims), lambda x: torch.amax(x, dim=dim, keepdim=keepdims), x=numbers(2, 3, 4))


def test_symbols():
    n = Symbolic.symbol("N")
    x = TensorType(FLOAT, (n, 3, 4))
    assert Max((1, 2)).infer(x) == TensorType(FLOAT, (n,))
    assert Max(0, keepdims=True).infer(x) == TensorType(FLOAT, (1, 3, 4))


def test_axes_that_make_no_sense():
    x = TensorType(FLOAT, (2, 3))
    with pytest.raises(FlownetError, match=r"`max` works along axis 2, got float32\[2, 3\]"):
        Max((0, 2)).infer(x)
    with pytest.raises(FlownetError, match="`axes` of `max` names axis 1 twice"):
        Max((1, -1)).infer(x)


def test_ties_share_the_gradient():
    torch = pytest.importorskip("torch")
    assert_as_torch(Max(1), lambda x: torch.amax(x, dim=1), x=np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))


def test_of_no_elements():
    with pytest.raises(FlownetError, match="`max` of no elements"):
        Max(0).infer(TensorType(FLOAT, (0, 3)))
