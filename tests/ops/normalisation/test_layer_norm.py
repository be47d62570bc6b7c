"""layer_norm: beside PyTorch, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.normalisation.layer_norm import LayerNorm
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import numbers

FLOAT = DType.float32
N = Symbolic.symbol("N")


@pytest.mark.parametrize(("shape", "axis"), [((5, 4), -1), ((2, 3, 4), 2), ((2, 3, 4), 1), ((2, 3, 4, 5), -3)])
def test_beside_torch(shape, axis):
    torch = pytest.importorskip("torch")
    normal = shape[axis:]
    x, scale, bias = 3 * numbers(*shape) + 2, numbers(*normal, seed=1), numbers(*normal, seed=2)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, scale, bias)]
    expected = torch.nn.functional.layer_norm(tensors[0], normal, *tensors[1:], eps=1e-3)
    op = LayerNorm(axis, 1e-3)
    y, mean, inverse_std = op.forward(x, scale, bias)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-11, atol=1e-11)
    dy = numbers(*shape, seed=9)
    expected.backward(torch.tensor(dy))
    for got, tensor in zip(op.backward(x, scale, mean, inverse_std, dy), tensors, strict=True):
        np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_declarations():
    declared = LayerNorm(axis=1).parameters(TensorType(FLOAT, (N, 3, 4)))
    assert {name: (str(initial.type), initial.start) for name, initial in declared.items()} == {
        "scale": ("float32[3, 4]", "ones"),
        "bias": ("float32[3, 4]", "zeros"),
    }
    parameter = TensorType(FLOAT, (4,))
    types = LayerNorm().infer(TensorType(FLOAT, (N, 3, 4)), parameter, parameter)
    assert [str(type_) for type_ in types] == ["float32[N, 3, 4]", "float32[N, 3]", "float32[N, 3]"]


@pytest.mark.parametrize(
    ("op", "x", "message"),
    [
        (LayerNorm(), TensorType(FLOAT, (3, N)), "takes numbers for the sizes from axis -1 on, got"),
        (LayerNorm(2), TensorType(FLOAT, (N, 3)), "`layer_norm` works along axis 2, got"),
    ],
)
def test_inputs_that_it_does_not_take(op, x, message):
    with pytest.raises(FlownetError, match=message):
        op.parameters(x)


def test_attributes_out_of_range():
    with pytest.raises(FlownetError, match="`epsilon` of `layer_norm` must be above 0, got -1"):
        LayerNorm(epsilon=-1.0).checked()
