"""batch_norm: beside PyTorch, its statistics from step to step, and what it becomes outside of training."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.ops.normalisation.batch_norm import BatchNorm
from flownet.ops.normalisation.batch_norm_inference import BatchNormInference
from flownet.testing.reference import forward
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import numbers

FLOAT = DType.float32
N, H = Symbolic.symbol("N"), Symbolic.symbol("H")


def channels(c):
    return {
        "scale": numbers(c, seed=1),
        "bias": numbers(c, seed=2),
        "running_mean": numbers(c, seed=3),
        "running_var": numbers(c, seed=4) ** 2,
    }


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 5), (4, 3, 1, 1), (3, 2, 7)])
def test_beside_torch(shape):
    torch = pytest.importorskip("torch")
    x, given = 3 * numbers(*shape) + 2, channels(shape[1])
    outputs = BatchNorm(epsilon=1e-3, momentum=0.3).forward(x, *given.values())
    tensors = {name: torch.tensor(a.copy(), requires_grad=not name.startswith("running")) for name, a in given.items()}
    tx = torch.tensor(x, requires_grad=True)
    y = torch.nn.functional.batch_norm(
        tx, tensors["running_mean"], tensors["running_var"], tensors["scale"], tensors["bias"], True, 0.3, 1e-3
    )
    np.testing.assert_allclose(outputs[0], y.detach().numpy(), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(outputs[1], tensors["running_mean"].numpy(), rtol=1e-12)
    np.testing.assert_allclose(outputs[2], tensors["running_var"].numpy(), rtol=1e-12)
    dy = numbers(*shape, seed=9)
    y.backward(torch.tensor(dy))
    gradients = BatchNorm(epsilon=1e-3, momentum=0.3).backward(x, given["scale"], *outputs[3:], dy)
    for got, tensor in zip(gradients, (tx, tensors["scale"], tensors["bias"]), strict=True):
        np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 5), (3, 2, 7)])
def test_outside_of_training_beside_torch(shape):
    torch = pytest.importorskip("torch")
    x, given = numbers(*shape), channels(shape[1])
    got = forward(BatchNorm(epsilon=1e-3).inference(), {"x": x, **given})["y"]
    scale, bias, mean, variance = map(torch.tensor, given.values())
    expected = torch.nn.functional.batch_norm(torch.tensor(x), mean, variance, scale, bias, eps=1e-3)
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-11, atol=1e-11)


def test_a_mean_that_is_large_beside_the_deviation():
    """float32 with a mean of 1000 deviations: a variance of E[x²] − E[x]² would have lost six of seven digits."""
    x = (1000 + numbers(512, 2)).astype(np.float32)
    exact = x.astype(np.float64)
    y, _, _, _, inverse_std = BatchNorm().forward(x, *(a.astype(np.float32) for a in (np.ones(2), *(np.zeros(2),) * 3)))
    np.testing.assert_allclose(inverse_std, 1 / np.sqrt(exact.var(0) + 1e-5), rtol=1e-6)
    # the mean of 1000 is rounded to 3e-5
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5), atol=4e-5)


def test_statistics_move_from_step_to_step():
    graph = Graph()
    g = Builder(graph)
    outputs = g.add(BatchNorm(momentum=0.5), g.input("x", TensorType(FLOAT, (2, 1))), name="bn")
    graph.outputs["y"] = outputs[0].name
    session = Session(CPU())
    session.run(graph, {"x": np.array([[1.0], [3.0]], np.float32)})  # mean 2, variance of the sample 2
    session.run(graph, {"x": np.array([[4.0], [4.0]], np.float32)})  # mean 4, variance 0
    state = session.read()
    assert state["bn.running_mean"] == pytest.approx([0.5 * (0.5 * 0 + 0.5 * 2) + 0.5 * 4])
    assert state["bn.running_var"] == pytest.approx([0.5 * (0.5 * 1 + 0.5 * 2)])


def test_declarations():
    x = TensorType(FLOAT, (N, 6, H, H))
    declared = BatchNorm().declared({"x": x})
    assert {name: (str(i.type), i.start, i.is_parameter) for name, i in declared.items()} == {
        "scale": ("float32[6]", "ones", True),
        "bias": ("float32[6]", "zeros", True),
        "running_mean": ("float32[6]", "zeros", False),
        "running_var": ("float32[6]", "ones", False),
    }
    assert BatchNorm(epsilon=0.1).inference() == BatchNormInference(epsilon=0.1)


def test_one_value_has_no_variance():
    with pytest.raises(
        FlownetError, match="`batch_norm` takes two or more values a channel in training, got 1"
    ) as error:
        BatchNorm().forward(numbers(1, 3), *channels(3).values())
    assert error.value.diagnostics[0].code == "batch-too-small"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (TensorType(FLOAT, (N,)), r"`batch_norm` takes float32\[n, c, …\], got float32\[N\]"),
        (TensorType(FLOAT, (N, H)), "with a number for c"),
        (TensorType(DType.int32, (N, 3)), "takes floating-point numbers as `x`"),
    ],
)
def test_inputs_that_it_does_not_take(x, message):
    with pytest.raises(FlownetError, match=message):
        BatchNorm().parameters(x)


def test_attributes_out_of_range():
    with pytest.raises(FlownetError, match="`epsilon` of `batch_norm` must be above 0, got 0"):
        BatchNorm(epsilon=0).checked()
    with pytest.raises(FlownetError, match="`momentum` of `batch_norm` must be from 0 to 1, got 1"):
        BatchNorm(momentum=1.5).checked()
