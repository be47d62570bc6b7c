"""What depends on parameters alone is computed when they change, whoever changes them, and not in every run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

import flownet
from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise, Op
from flownet.passes.specialise_inference import specialise_inference
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened
from tests.passes.small_networks import feeds, first, op, training_step
from tests.training.small import graph_of

DEVICES = ["cpu", *(pytest.param(id, marks=pytest.mark.opencl) for id in device_ids_and_gpu())]
FLOAT = TensorType(DType.float32, (4,))


def device_of(name: str):
    return CPU() if name == "cpu" else opened(name)


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def doubled(calls: list[int]) -> type[Op]:
    @dataclass(frozen=True)
    class Doubled(Op):
        """y = 2w, and a note of it"""

        name = "doubled"

        def infer(self, w):
            return w

        def forward(self, w):
            calls.append(1)
            return 2 * w

    return Doubled


def test_it_runs_once_for_many_runs_and_again_after_a_write(calls: list[int], doubled: type[Op]) -> None:
    g = Builder(Graph())
    weight = g.add(doubled(), g.parameter("w", FLOAT, 1.0))
    g.graph.output(g.add(op("add"), g.input("x", FLOAT), weight, name="y").name)
    session = Session(CPU())
    x = {"x": np.zeros(4, np.float32)}
    assert [session.run(g.graph, x)["y"][0] for _ in range(3)] == [2, 2, 2]
    assert len(calls) == 1
    session.write({"w": np.full(4, 5, np.float32)})
    assert [session.run(g.graph, x)["y"][0] for _ in range(3)] == [10, 10, 10]
    assert len(calls) == 2


def test_a_graph_that_changes_other_parameters_does_not_run_it_again(calls: list[int], doubled: type[Op]) -> None:
    """A layer that is frozen in training."""
    g = Builder(Graph())
    frozen = g.add(doubled(), g.parameter("w", FLOAT, 1.0, trainable=False))
    count = g.state("count", FLOAT, 0.0)
    plus = Elementwise((("y", parse("a + b")),), ("a", "b"))
    g.graph.updates["count"] = g.add(plus, a=count, b=frozen, name="next").name
    g.graph.output("next")
    session = Session(CPU())
    assert [session.run(g.graph, {})["next"][0] for _ in range(3)] == [2, 4, 6]
    assert len(calls) == 1


def test_what_the_graph_changes_is_computed_in_every_run(calls: list[int], doubled: type[Op]) -> None:
    g = Builder(Graph())
    count = g.state("count", FLOAT, 1.0)
    g.graph.updates["count"] = g.add(doubled(), count, name="next").name
    g.graph.output("next")
    session = Session(CPU())
    assert [session.run(g.graph, {})["next"][0] for _ in range(3)] == [2, 4, 8]
    assert len(calls) == 3


def test_a_set_up_that_fails_says_where() -> None:
    @dataclass(frozen=True)
    class Fails(Op):
        """never"""

        name = "fails"

        def infer(self, w):
            return w

        def forward(self, w):
            raise flownet.FlownetError.of("shape-mismatch", "no such luck")

    g = Builder(Graph())
    g.graph.output(g.add(op("add"), g.input("x", FLOAT), g.add(Fails(), g.parameter("w", FLOAT, 1.0))).name)
    session = Session(CPU())
    for _ in range(2):  # and does not count as done
        with pytest.raises(flownet.FlownetError, match="no such luck"):
            session.run(g.graph, {"x": np.zeros(4, np.float32)})


LAYERS = [
    ("conv2d", {"channels": 16, "kernel": 3, "padding": 1, "bias": False}), ("batch_norm", {}), ("tanh", {}),
    ("conv2d", {"channels": 16, "kernel": 3, "padding": 1}), ("batch_norm", {}), ("global_avg_pool", {}),
    ("dense", {"units": 8, "bias": False}), ("batch_norm", {}), ("dense", {"units": 3}),
]  # fmt: skip


def networks(shape=(5, 9, 9)):
    """(training step, inference) of one network."""
    graph = Graph("inference")
    g = Builder(graph)
    h = g.input("x", TensorType(DType.float32, (4, *shape)))
    for name, attributes in LAYERS:
        h = first(g.add(op(name, **attributes), h))
    graph.output(h.name)
    return training_step(LAYERS, shape, 3), specialise_inference(graph)


def scores_of(device: str, graph: Graph, arrays: dict, without=("fold_into_weights",)) -> np.ndarray:
    """What a session that was not there before computes with these weights."""
    session = Session(device_of(device), seed=7, without=without)
    session.initialise(graph)
    session.write({name: arrays[name] for name in session.storages})
    return next(iter(session.run(graph, {"x": feeds(graph)["x"]}).values()))


@pytest.mark.parametrize("device", DEVICES)
def test_folded_weights_follow_training(device: str) -> None:
    step, inference = networks()
    session = Session(device_of(device), seed=1)
    x = {"x": feeds(inference)["x"]}
    found = []
    for i in range(4):
        found.append(next(iter(session.run(inference, x).values())))
        arrays = session.read()
        # in float32, and through tanh: the folded weights' rounding, no more
        np.testing.assert_allclose(found[-1], scores_of(device, inference, arrays), rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(found[-1], scores_of(device, inference, arrays, without=()))
        session.run(step, feeds(step, seed=i) | {"rate": np.float32(0.5)})
    assert all(np.abs(a - b).max() > 0.01 for a, b in pairwise(found)), "training changes nothing"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["batch_norm.running_var", "batch_norm.scale", "conv2d.weight", "batch_norm_2.bias"])
def test_folded_weights_follow_a_write(device: str, name: str) -> None:
    _, inference = networks()
    session = Session(device_of(device), seed=1)
    x = {"x": feeds(inference)["x"]}
    session.run(inference, x)
    arrays = session.read()
    arrays[name] = arrays[name] * 3 + 1
    session.write({name: arrays[name]})
    got = next(iter(session.run(inference, x).values()))
    np.testing.assert_allclose(got, scores_of(device, inference, arrays), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("device", ["cpu", pytest.param("auto", marks=pytest.mark.opencl)])
def test_saved_weights_are_the_ones_that_were_trained_and_load_into_a_running_network(device: str, tmp_path) -> None:
    source = graph_of(epochs=1)
    source["nodes"][:2] = [{"dense": {"units": 16, "bias": False}}, {"batch_norm": {"name": "norm"}}, "tanh"]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    trained, other = flownet.load(source, device=device, seed=1), flownet.load(source, device=device, seed=2)
    before = other.run(x=x)["probabilities"]
    flownet.train(trained, folder=tmp_path / "run")
    want = trained.run(x=x)["probabilities"]
    trained.save(tmp_path / "weights.safetensors")
    assert set(trained.weights) == set(other.weights)
    other.bind(tmp_path / "weights.safetensors")
    got = other.run(x=x)["probabilities"]
    np.testing.assert_array_equal(got, want)
    assert np.abs(got - before).max() > 0.01
    w = {name: array.astype(np.float64) for name, array in trained.weights.items()}
    y = x @ w["dense_1.weight"].T
    hidden = np.tanh(
        w["norm.scale"] * (y - w["norm.running_mean"]) / np.sqrt(w["norm.running_var"] + 1e-5) + w["norm.bias"]
    )
    logits = hidden @ w["logits.weight"].T + w["logits.bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, shares, rtol=1e-4)
