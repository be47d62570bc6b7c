"""A network on arrays that are filled and read in place, where they are the device's own and where they are not."""

from __future__ import annotations

import numpy as np
import pytest

import flownet
from flownet.devices.cpu.device import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, Symbolic, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpus, opened
from tests.passes.small_networks import op
from tests.training.small import graph_of

pytest.importorskip("pyopencl")


@pytest.fixture(params=["cpu", *(pytest.param(each, marks=pytest.mark.opencl) for each in device_ids_and_gpus())])
def device(request):
    return CPU() if request.param == "cpu" else opened(request.param)


def affine():
    """y = 2 x + x, z = y - 1; x itself is an output, too."""
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (Symbolic.symbol("N"), 3)))
    y = g.add(op("add"), g.add(op("add"), x, x), x, name="sum")
    graph.outputs = {"y": y.name, "z": g.add(op("tanh"), y, name="bent").name, "same": x.name}
    return graph


def test_outputs_are_those_of_what_the_inputs_hold(device):
    step = Session(device).buffers(affine(), {"N": 4})
    assert list(step.inputs) == ["x"] and list(step.outputs) == ["y", "z", "same"]
    assert step.inputs["x"].shape == (4, 3)
    kept = dict(step.outputs)
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
        step.inputs["x"][...] = x
        found = step()
        np.testing.assert_allclose(found["y"], 3 * x, rtol=1e-6)
        np.testing.assert_allclose(found["z"], np.tanh(3 * x), rtol=1e-5)
        np.testing.assert_array_equal(found["same"], x)
        assert all(found[name] is kept[name] for name in kept)


def test_other_runs_of_the_graph_touch_neither(device):
    session, graph = Session(device), affine()
    step = session.buffers(graph, {"N": 2})
    step.inputs["x"][...] = 1
    step()
    session.run(graph, {"x": np.full((2, 3), 7, np.float32)})
    np.testing.assert_array_equal(step.outputs["y"], 3)
    np.testing.assert_array_equal(step.inputs["x"], 1)
    np.testing.assert_array_equal(step()["y"], 3)


def test_what_a_kernel_could_not_bear_is_looked_at_first(device):
    """Numbers of an embedding's rows, on devices that would read beyond its table."""
    graph = Graph()
    g = Builder(graph)
    ids = g.input("ids", TensorType(DType.int32, (3,)))
    rows = g.add(op("embedding", rows=4, units=2), ids, name="rows")
    graph.outputs = {"y": rows.name}
    session = Session(device)
    step = session.buffers(graph)
    (table,) = session.read().values()
    step.inputs["ids"][...] = [3, 0, 1]
    np.testing.assert_array_equal(step()["y"], table[[3, 0, 1]])
    step.inputs["ids"][...] = [3, 4, 1]
    with pytest.raises(FlownetError, match="4"):
        step()


def test_a_network_gives_what_run_gives_and_sees_new_weights():
    net = flownet.load(graph_of(), device="cpu", seed=1)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    step = net.buffers(N=5)
    step.inputs["x"][...] = x
    before = step()["probabilities"].copy()
    np.testing.assert_array_equal(before, net.run(x=x)["probabilities"])
    net.bind({name: 2 * array for name, array in net.weights.items()})
    after = step()["probabilities"]
    np.testing.assert_array_equal(after, net.run(x=x)["probabilities"])
    assert np.abs(after - before).max() > 0.01


def test_a_size_that_is_not_given_is_asked_for():
    net = flownet.load(graph_of(), device="cpu")
    with pytest.raises(FlownetError, match="the size `N` is not known"):
        net.buffers()
