"""mean: along one axis, some, or all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.reduction.mean import Mean
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
AXES = [0, -1, (1,), (0, 2), (2, 0), (-3, 1), "all"]


@pytest.mark.parametrize("axes", AXES)
def test_against_a_loop(axes):
    x = numbers(2, 3, 4)
    gone = {a % 3 for a in ((0, 1, 2) if axes == "all" else (axes,) if isinstance(axes, int) else axes)}
    y = Mean(axes, keepdims=True).forward(x)
    assert y.shape == tuple(1 if axis in gone else size for axis, size in enumerate(x.shape))
    for place in np.ndindex(y.shape):
        ranges = [range(x.shape[axis]) if axis in gone else [k] for axis, k in enumerate(place)]
        values = [x[index] for index in itertools.product(*ranges)]
        assert y[place] == pytest.approx(math.fsum(values) / len(values), rel=1e-14, abs=1e-15)
    np.testing.assert_array_equal(Mean(axes).forward(x), y.squeeze(tuple(gone)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", AXES)
def test_beside_torch(axes, keepdims):
    torch = pytest.importorskip("torch")
    dim = (0, 1, 2) if axes == "all" else axes
    assert_as_torch(Mean(axes, keepdims), lambda x: torch.mean(x, dim=dim, keepdim=keepdims), x=numbers(2, 3, 4))


def test_symbols():
    n = Symbolic.symbol("N")
    x = TensorType(FLOAT, (n, 3, 4))
    assert Mean((1, 2)).infer(x) == TensorType(FLOAT, (n,))
    assert Mean(0, keepdims=True).infer(x) == TensorType(FLOAT, (1, 3, 4))


def test_axes_that_make_no_sense():
    x = TensorType(FLOAT, (2, 3))
    with pytest.raises(FlownetError, match=r"`mean` works along axis 2, got float32\[2, 3\]"):
        Mean((0, 2)).infer(x)
    with pytest.raises(FlownetError, match="`axes` of `mean` names axis 1 twice"):
        Mean((1, -1)).infer(x)


def test_gradient_while_the_batch_is_a_symbol():
    from flownet.graph import Builder, Graph
    from flownet.passes.differentiate import differentiate
    from flownet.testing.reference import evaluate

    graph = Graph()
    x = Builder(graph).input("x", TensorType(FLOAT, (Symbolic.symbol("N"), 3)))
    y = Builder(graph).add(Mean(), x)
    graph, gradients = differentiate(graph, y.name, ["x"])
    bound = graph.bind({"N": 5})
    known = evaluate(bound, {"x": np.zeros((5, 3), np.float32)}, gradients.values())
    np.testing.assert_allclose(known[gradients["x"]], np.full((5, 3), 1 / 15), rtol=1e-7)


def test_of_whole_numbers_is_refused():
    with pytest.raises(FlownetError, match="`mean` takes floating-point numbers"):
        Mean().infer(TensorType(DType.int32, (2, 3)))
