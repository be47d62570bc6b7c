"""Every op of the library has kernels, forward and backward: in no plan of its samples does a node run on the host."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.ops.shape.slice import Slice
from flownet.passes.differentiate import differentiate
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.devices.opencl.test_parity import CASES, gradient_graph, sample_graph, weighted_sum

pytestmark = pytest.mark.opencl

HOST = {"mean_absolute_error", "r2"}  # by intent: their sums are of float64, and kernels compute in float32


def on_host(graph, device):
    program = Session(opened(device)).plan(graph, {}).program
    return [step.kernel for step in program.steps if step.device == "cpu"]


@pytest.mark.parametrize("device", device_ids()[:1])
@pytest.mark.parametrize("sample", CASES)
def test_samples_stay_on_the_device(sample, device):
    name = sample.op.name
    assert on_host(sample_graph(sample)[0], device) == ([name] if name in HOST else [])


@pytest.mark.parametrize("device", device_ids()[:1])
@pytest.mark.parametrize("sample", CASES)
def test_gradients_stay_on_the_device(sample, device):
    assert on_host(gradient_graph(sample)[0], device) == []


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize(
    "cut",
    [slice(1, 7, 2), slice(0, 8, 3), slice(-1, None, -1), slice(6, 1, -2), slice(2, 3, 5), slice(3, 6, 1)],
    ids=str,
)
def test_the_gradient_of_a_slice_lands_where_it_was_taken_from(cut, device):
    graph = Graph("cut")
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (9, 8)))
    y = g.add(Slice(starts=(cut.start,), ends=(cut.stop,), axes=(1,), steps=(cut.step,)), x=x, name="y")
    total, weights = weighted_sum(g, y)
    graph, gradients = differentiate(graph, total.name, ["x"])
    graph.outputs, graph.updates = {"dx": gradients["x"]}, {}
    got = Session(opened(device)).run(graph, {"x": np.zeros((9, 8), np.float32)})["dx"]
    want = np.zeros((9, 8), np.float32)
    want[:, cut] = weights
    np.testing.assert_array_equal(got, want)
