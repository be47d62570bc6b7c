"""Whole small networks on OpenCL against NumPy: twenty training steps end at the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened
from tests.passes.small_networks import NETWORKS, feeds, op, training_step

pytestmark = pytest.mark.opencl


@pytest.mark.parametrize("device", device_ids_and_gpu())
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps(name, optimizer, device):
    update = op("sgd", momentum=0.9, nesterov=True) if optimizer == "sgd" else op("adam")
    graph = training_step(*NETWORKS[name], optimizer=update)
    cpu, ours = Session(CPU(), seed=1), Session(opened(device), seed=1, check=True)
    for step in range(20):
        arrays = feeds(graph, seed=step)
        if "step" in arrays:
            arrays["step"] = np.float32(step + 1)
        want, got = cpu.run(graph, arrays), ours.run(graph, arrays)
        # rounding differs by 1e-7 a step and grows with the steps; Adam divides by the root of tiny squares, which magnifies it
        np.testing.assert_allclose(got["loss"], want["loss"], rtol=2e-4, atol=1e-6)
    for weight, want_array in cpu.read().items():
        got_array = ours.read()[weight]
        scale = max(float(np.abs(want_array).max()), 1e-3)
        np.testing.assert_allclose(got_array, want_array, atol=5e-4 * scale, rtol=5e-4, err_msg=weight)


@pytest.mark.parametrize("device", device_ids_and_gpu())
def test_dropout_masks_are_the_same_bits(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (33, 7)))
    graph.output(g.add(op("dropout", rate=0.3), x, name="y").name)
    g.add(op("advance_rng"), graph.values["rng"])
    ones = {"x": np.ones((33, 7), np.float32)}
    cpu, ours = Session(CPU(), seed=5), Session(opened(device), seed=5)
    masks = []
    for _ in range(3):
        want, got = cpu.run(graph, ones)["y"], ours.run(graph, ones)["y"]
        np.testing.assert_array_equal(got != 0, want != 0)
        masks.append(got != 0)
    assert not np.array_equal(masks[0], masks[1]), "the state does not advance"
