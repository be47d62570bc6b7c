"""shortcut: the paper's options A and B, their parameters, and what they become outside of training."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph
from flownet.ops.convolution.shortcut import Shortcut, ShortcutInference
from flownet.passes.expand_composites import expand_composites
from flownet.passes.specialise_inference import specialise_inference
from flownet.testing.reference import forward
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
N = Symbolic.symbol("N")
X = TensorType(FLOAT, (N, 16, 32, 32))


def graph_of(op):
    graph = Graph()
    g = Builder(graph)
    graph.outputs["y"] = g.add(op, g.input("x", X), name="skip").name
    return graph


def test_zeros_for_new_channels():
    x = numbers(2, 3, 5, 4)
    expected = np.zeros((2, 7, 3, 2))
    expected[:, :3] = x[:, :, ::2, ::2]
    np.testing.assert_array_equal(forward(Shortcut(7, 2), {"x": x})["y"], expected)


@pytest.mark.parametrize("option", ["zero_padding", "projection"])
def test_where_nothing_changes_nothing_runs(option):
    op = Shortcut(16, option=option)
    assert op.parameters(X) == op.states(X) == {}
    graph = expand_composites(graph_of(op))
    assert graph.nodes == {}
    assert graph.outputs == {"y": "x"}


def test_a_projection_beside_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, weight = numbers(4, 3, 5, 5), numbers(6, 3, 1, 1, seed=1)
    scale, bias = numbers(6, seed=2), numbers(6, seed=3)

    def torchs(x, weight, scale, bias, mean, variance):
        return functional.batch_norm(functional.conv2d(x, weight, stride=2), None, None, scale, bias, training=True)

    states = {"running_mean": np.zeros(6), "running_var": np.ones(6)}
    parts = {"x": x, "weight": weight, "scale": scale, "bias": bias}
    got = forward(Shortcut(6, 2, "projection"), {**parts, **states})["y"]
    expected = torchs(*map(torch.tensor, (*parts.values(), *states.values()))).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_a_projection_outside_of_training_beside_torch():
    functional = pytest.importorskip("torch.nn.functional")

    def torchs(x, weight, scale, bias, mean, variance):
        return functional.batch_norm(
            functional.conv2d(x, weight, stride=2), mean.detach(), variance.detach(), scale, bias
        )

    op = Shortcut(6, 2, "projection").inference()
    assert isinstance(op, ShortcutInference)
    parts = [numbers(4, 3, 5, 5), numbers(6, 3, 1, 1, seed=1), numbers(6, seed=2), numbers(6, seed=3)]
    parts += [numbers(6, seed=4), numbers(6, seed=5) ** 2]
    names = ("x", "weight", "scale", "bias", "running_mean", "running_var")
    got = forward(op, dict(zip(names, parts, strict=True)))["y"]
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(got, torchs(*map(torch.tensor, parts)).numpy(), rtol=1e-12, atol=1e-12)


def test_a_projection_updates_its_statistics_in_training_only():
    graph = graph_of(Shortcut(32, 2, "projection"))
    assert {value.name for value in graph.parameters} == {"skip.weight", "skip.scale", "skip.bias"}
    assert {value.name for value in graph.states} == {"skip.running_mean", "skip.running_var"}
    training = expand_composites(graph)
    assert set(training.updates) == {"skip.running_mean", "skip.running_var"}
    assert {node.op.name for node in training.nodes.values()} == {"conv2d", "batch_norm"}
    inference = expand_composites(specialise_inference(graph))
    assert inference.updates == {}
    assert "batch_norm" not in {node.op.name for node in inference.nodes.values()}


def test_multiply_adds():
    """16·16·32·16 for a projection to half the size, none for zeros."""
    op = Shortcut(32, 2, "projection")
    weight = op.parameters(X)["weight"].type
    _, multiply_adds = op.cost({"x": X, "weight": weight}, [op.infer(X)])
    assert multiply_adds == 131072 * N
    assert Shortcut(32, 2).cost({"x": X}, [Shortcut(32, 2).infer(X)])[1] == 0


def test_the_gradient_of_zeros_beside_torch():
    functional = pytest.importorskip("torch.nn.functional")
    x = numbers(2, 3, 5, 4)
    assert_as_torch(Shortcut(7, 2), lambda x: functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 4)), x=x)


def test_channels_cannot_be_padded_away():
    with pytest.raises(FlownetError, match="takes at most 8 channels, to pad them with zeros, got") as error:
        Shortcut(8).infer(X)
    assert error.value.diagnostics[0].help == "`option: projection` can make 8 channels of any number"
