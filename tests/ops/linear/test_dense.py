"""dense: a fully connected layer."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.linear.dense import Dense
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N = DType.float32, Symbolic.symbol("N")


def test_against_a_loop():
    x, weight, bias = numbers(3, 4), numbers(2, 4, seed=1), numbers(2, seed=2)
    y = Dense(2).forward(x, weight, bias)
    for n, unit in np.ndindex(3, 2):
        assert y[n, unit] == pytest.approx(sum(x[n, d] * weight[unit, d] for d in range(4)) + bias[unit], rel=1e-13)


@pytest.mark.parametrize("lead", [(3,), (2, 3), ()])
def test_beside_torch(lead):
    functional = pytest.importorskip("torch.nn.functional")
    x, weight, bias = numbers(*lead, 4), numbers(5, 4, seed=1), numbers(5, seed=2)
    assert_as_torch(Dense(5), functional.linear, x=x, weight=weight, bias=bias)
    assert_as_torch(Dense(5, bias=False), functional.linear, x=x, weight=weight)


@pytest.mark.parametrize("lead", [(3,), (2, 3)])
def test_writes_into_out(lead):
    x, weight, bias = numbers(*lead, 4), numbers(5, 4, seed=1), numbers(5, seed=2)
    out = np.full((*lead, 5), np.nan)
    assert Dense(5).forward(x, weight, bias, out=out) is out
    np.testing.assert_array_equal(out, Dense(5).forward(x, weight, bias))


def test_parameters():
    declared = Dense(5).parameters(TensorType(FLOAT, (N, 3)))
    assert {name: str(initial.type) for name, initial in declared.items()} == {
        "weight": "float32[5, 3]",
        "bias": "float32[5]",
    }
    bound = np.sqrt(6 / (3 + 5))  # Glorot's
    weight = declared["weight"].array(0, "dense.weight")
    assert 0.5 * bound < np.abs(weight).max() <= bound
    assert not declared["bias"].array(0, "dense.bias").any()
    assert list(Dense(5, bias=False).parameters(TensorType(FLOAT, (N, 3)))) == ["weight"]


def test_multiply_adds():
    flops, multiply_adds = Dense(120).cost({"x": TensorType(FLOAT, (N, 400))}, [TensorType(FLOAT, (N, 120))])
    assert (flops, multiply_adds) == (96000 * N, 48000 * N)


def test_an_image_is_to_be_flattened():
    with pytest.raises(FlownetError) as error:
        Dense(120).infer(TensorType(FLOAT, (N, 16, 5, 5)))
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "shape-mismatch"
    assert diagnostic.message == "`dense` takes float32[n, d], got float32[N, 16, 5, 5]"
    assert diagnostic.help == "put `- flatten` above it"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (TensorType(FLOAT, ()), r"`dense` takes float32\[n, d\], got float32\[\]"),
        (TensorType(DType.int64, (N, 3)), r"`dense` takes floating-point numbers as `x`, got int64\[N, 3\]"),
        (TensorType(FLOAT, (3, N)), r"with a number for d, got float32\[3, N\]"),
    ],
)
def test_inputs_that_it_does_not_take(x, message):
    with pytest.raises(FlownetError, match=message):
        Dense(5).infer(x)
    with pytest.raises(FlownetError, match=message):
        Dense(5).parameters(x)


def test_weights_of_another_layer():
    x = TensorType(FLOAT, (N, 3))
    with pytest.raises(FlownetError, match=r"`dense` takes a weight float32\[5, 3\] for the input float32\[N, 3\]"):
        Dense(5).infer(x, TensorType(FLOAT, (5, 4)))
    with pytest.raises(FlownetError, match=r"`dense` takes a bias float32\[5\], got float32\[4\]"):
        Dense(5).infer(x, TensorType(FLOAT, (5, 3)), TensorType(FLOAT, (4,)))


def test_no_units():
    with pytest.raises(FlownetError, match="`units` of `dense` must be at least 1, got 0"):
        Dense(0).checked()
