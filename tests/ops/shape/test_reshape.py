"""reshape: the same elements under another shape."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph
from flownet.ops.reduction.sum import Sum
from flownet.ops.shape.reshape import Reshape
from flownet.passes.differentiate import differentiate
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N, M = DType.float32, Symbolic.symbol("N"), Symbolic.symbol("M")


@pytest.mark.parametrize(
    ("before", "shape", "after"),
    [
        ((2, 12), (4, 6), (4, 6)),
        ((2, 12), (-1, 3), (8, 3)),
        ((2, 12), (2, -1, 3), (2, 4, 3)),
        ((N, 400), (-1, 16, 5, 5), (N, 16, 5, 5)),
        ((N, 400), (N, -1, 5, 5), (N, 16, 5, 5)),
        ((N, M, 4), (-1, 2), (2 * N * M, 2)),
        ((N, M, 4), (N, -1), (N, 4 * M)),
        ((0, 4), (-1, 2), (0, 2)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_shapes(before, shape, after):
    assert Reshape(shape).infer(TensorType(FLOAT, before)) == TensorType(FLOAT, after)


@pytest.mark.parametrize(
    ("before", "shape"),
    [((2, 12), (5, 5)), ((2, 12), (-1, 7)), ((N, 10), (-1, 3)), ((N, 10), (M, 10)), ((4, 6), (-1, N))],
)
def test_shapes_that_do_not_fit(before, shape):
    with pytest.raises(FlownetError, match="`reshape` cannot give float32"):
        Reshape(shape).infer(TensorType(FLOAT, before))


def test_two_unknown_sizes():
    with pytest.raises(FlownetError, match="`shape` of `reshape` must be known but for one -1"):
        Reshape((-1, -1)).checked()
    with pytest.raises(FlownetError, match="`shape` of `reshape` must be sizes of at least -1"):
        Reshape((2, -3)).checked()


def test_order_and_no_copy():
    x = np.arange(12.0).reshape(3, 4)
    y = Reshape((2, -1)).forward(x)
    assert y.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert np.shares_memory(x, y)


def test_beside_torch():
    assert_as_torch(Reshape((4, -1)), lambda x: x.reshape(4, -1), x=numbers(2, 6))


def test_gradient_is_a_view_whose_sizes_are_bound_with_the_graph():
    graph = Graph()
    x = Builder(graph).input("x", TensorType(FLOAT, (N, 6)))
    y = Builder(graph).add(Reshape((-1, 2, 3)), x)
    total = Builder(graph).add(Sum(), y)
    graph, gradients = differentiate(graph, total.name, ["x"])
    node = graph.bind({"N": 5}).nodes[graph.values[gradients["x"]].producer]
    assert node.op == Reshape((5, 6))
    assert node.op.is_view
