"""slice: a part of a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.pad import Pad
from flownet.ops.shape.slice import Slice
from flownet.testing.example import Example
from flownet.testing.reference import differentiated
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N = DType.float32, Symbolic.symbol("N")

CASES = [
    (Slice((1,), (3,)), lambda x: x[1:3]),
    (Slice((1, 0), (-1, 4), (1, 0)), lambda x: x[0:4, 1:-1]),
    (Slice((-3,), (None,), (2,)), lambda x: x[:, :, -3:]),
    (Slice((0, 1), (None, None), (1, 2), (2, 3)), lambda x: x[:, ::2, 1::3]),
    (Slice((-100,), (100,), (-1,)), lambda x: x[:, :, -100:100]),
    (Slice((3,), (1,), (1,)), lambda x: x[:, 3:1]),
]


@pytest.mark.parametrize(("op", "python"), CASES, ids=lambda case: str(case) if isinstance(case, Slice) else "")
def test_beside_torch(op, python):
    x = numbers(4, 5, 7)
    assert op.infer(TensorType(DType.float64, x.shape)).shape == python(x).shape
    assert_as_torch(op, python, x=x)


@pytest.mark.parametrize("bounds", [(-1, None, -1), (4, 0, -2), (-2, -5, -1), (100, None, -3)])
def test_backwards_as_python(bounds):
    start, end, step = bounds
    op = Slice((start,), (end,), (1,), (step,))
    x = numbers(2, 5)
    np.testing.assert_array_equal(op.forward(x), x[:, start:end:step])
    assert op.infer(TensorType(DType.float64, x.shape)).shape == x[:, start:end:step].shape


def test_symbols():
    x = TensorType(FLOAT, (N, 10))
    assert Slice((1,), (None,)).infer(x).shape == (N - 1, 10)
    assert Slice((1,), (-1,)).infer(x).shape == (N - 2, 10)
    assert Slice((2,), (8,), (1,), (2,)).infer(x).shape == (N, 3)
    assert Slice((0,), (N,)).infer(TensorType(FLOAT, (2 * N, 3))).shape == (N, 3)
    with pytest.raises(FlownetError, match="`slice` cannot tell how much of axis 0"):
        Slice((0,), (3,)).infer(x)


def test_symbols_are_bound():
    assert Slice((0, N), (N, None)).bind({"N": 3}) == Slice((0, 3), (3, None))


def test_gradient_is_a_border_of_zeros_and_keeps_no_input():
    op = differentiated(Example(Slice((1, -2), (3, None)), {"x": numbers(4, 5)}))
    (node,) = (node for node in op.graph.nodes.values() if node.name != "node" and node.op.name != "projection")
    assert node.op == Pad(((1, 1), (3, 0)))
    assert list(node.inputs.values()) == ["seed/y"]


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Slice((0, 1), (2,)), "`ends` of `slice` must be as long as `starts`, which has 2"),
        (Slice((0,), (2,), (0, 1)), "`axes` of `slice` must be as long as `starts`"),
        (Slice((0,), (2,), None, (0,)), "`steps` of `slice` must be without 0"),
    ],
)
def test_attributes_that_make_no_sense(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()


def test_axes_that_are_not_there_or_twice():
    x = TensorType(FLOAT, (4, 5))
    with pytest.raises(FlownetError, match="`slice` works along axis 2"):
        Slice((0,), (1,), (2,)).infer(x)
    with pytest.raises(FlownetError, match="`axes` of `slice` names an axis twice"):
        Slice((0, 0), (1, 1), (1, -1)).infer(x)
