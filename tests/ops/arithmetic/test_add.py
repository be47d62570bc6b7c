"""add: any number of inputs that broadcast."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph
from flownet.ops.arithmetic.add import Add
from flownet.passes.expand_composites import expand_composites
from flownet.testing.reference import forward
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32


def test_against_a_loop():
    x0, x1, x2 = numbers(2, 1, 3), numbers(4, 1, seed=1), numbers(3, seed=2)
    y = forward(Add(), {"x0": x0, "x1": x1, "x2": x2})["y"]
    assert y.shape == (2, 4, 3)
    for i, j, k in np.ndindex(y.shape):
        assert y[i, j, k] == x0[i, 0, k] + x1[j, 0] + x2[k]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_beside_torch(count):
    pytest.importorskip("torch")

    def combined(*x):
        y = x[0]
        for other in x[1:]:
            y = y + other
        return y

    assert_as_torch(Add(), combined, **{f"x{i}": numbers(*((3, 4)[i % 2 :]), seed=i) for i in range(count)})


def test_gradient_where_an_input_is_zero():
    torch = pytest.importorskip("torch")
    x = [np.array([0.0, 2.0, 0.0]), np.array([3.0, 0.0, 0.0])]
    assert_as_torch(Add(), torch.add, x0=x[0], x1=x[1])


def test_becomes_one_elementwise_node():
    graph = Graph()
    g = Builder(graph)
    inputs = [g.input(f"in{i}", TensorType(FLOAT, (2, 3))) for i in range(3)]
    graph.output(g.add(Add(), *inputs, name="y").name)
    (node,) = expand_composites(graph).nodes.values()
    assert str(node.op) == "elementwise[y = add(add(x0, x1), x2)]"


def test_symbols():
    n = Symbolic.symbol("N")
    assert Add().infer(TensorType(FLOAT, (n, 3)), TensorType(FLOAT, (1, 3))) == TensorType(FLOAT, (n, 3))


def test_one_input_is_too_few():
    with pytest.raises(FlownetError, match="`add` takes two or more inputs, got 1"):
        Add().infer(TensorType(FLOAT, (2, 3)))


def test_shapes_that_do_not_meet():
    with pytest.raises(FlownetError, match=r"`add` cannot combine the shapes \[2, 3\] and \[2\]: 3 is not 2"):
        Add().infer(TensorType(FLOAT, (2, 3)), TensorType(FLOAT, (2,)))


def test_element_types_that_differ():
    with pytest.raises(FlownetError, match="`add` takes inputs of one element type"):
        Add().infer(TensorType(FLOAT, (2,)), TensorType(DType.float64, (2,)))
