"""concat: tensors joined along an axis."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph
from flownet.ops.shape.concat import Concat
from flownet.ops.shape.slice import Slice
from flownet.testing.example import Example
from flownet.testing.reference import differentiated
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N = DType.float32, Symbolic.symbol("N")


def _type(*shape):
    return TensorType(FLOAT, shape)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_beside_torch(axis):
    torch = pytest.importorskip("torch")
    shapes = [[2, 3, 4] for _ in range(3)]
    shapes[1][axis] = 1
    inputs = {f"x{i}": numbers(*shape, seed=i) for i, shape in enumerate(shapes)}
    assert_as_torch(Concat(axis), lambda *x: torch.cat(x, dim=axis), **inputs)


def test_against_a_loop():
    a, b = numbers(2, 3), numbers(2, 2, seed=1)
    y = Concat().forward(a, b)
    for i, j in np.ndindex(2, 5):
        assert y[i, j] == (a[i, j] if j < 3 else b[i, j - 3])


def test_writes_into_out():
    out = np.full((2, 5), np.nan)
    assert Concat().forward(numbers(2, 3), numbers(2, 2), out=out) is out
    assert not np.isnan(out).any()


def test_sizes_add_up():
    assert Concat(1).infer(_type(N, 3, 8), _type(N, 5, 8)) == _type(N, 8, 8)
    assert str(Concat(0).infer(_type(N, 3), _type(N, 3), _type(1, 3))) == "float32[2*N + 1, 3]"


def test_gradients_are_parts_of_dy_and_keep_no_input():
    op = differentiated(Example(Concat(), {"x0": numbers(2, 3), "x1": numbers(2, 2)}))
    parts = [node for node in op.graph.nodes.values() if node.op.name == "slice"]
    assert [node.op for node in parts] == [Slice((0,), (3,), (1,)), Slice((3,), (5,), (1,))]
    assert all(list(node.inputs.values()) == ["seed/y"] for node in parts)


def test_only_gradients_that_are_needed():
    graph = Graph()
    g = Builder(graph)
    x = {f"x{i}": g.input(f"x{i}", _type(2, 3)) for i in range(2)}
    dy = g.input("dy", _type(2, 6))
    assert list(Concat().gradient(g, x, {}, {"y": dy}, ["x1"])) == ["x1"]
    assert len(graph.nodes) == 1


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((_type(2, 3, 4), _type(2, 3, 5)), "`concat` takes inputs that differ along axis 1 alone"),
        ((_type(2, 3), _type(2, 3, 1)), "`concat` takes inputs that differ along axis 1 alone"),
        ((_type(2), _type(2)), "`concat` works along axis 1"),
        ((_type(2, 3), TensorType(DType.float64, (2, 3))), "`concat` takes inputs of one element type"),
        ((), "`concat` takes one or more inputs"),
    ],
)
def test_inputs_that_do_not_join(types, message):
    with pytest.raises(FlownetError, match=message):
        Concat(1).infer(*types)
