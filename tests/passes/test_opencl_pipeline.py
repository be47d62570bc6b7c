"""The OpenCL passes on whole training steps: after every one of them the graph is sound and computes the same, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.devices.opencl.target import Target
from flownet.executor import Session
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.passes.verify import verify
from tests.passes.small_networks import NETWORKS, feeds, training_step

TARGETS = [Target(vector=16, registers=32), Target(vector=8), Target("gpu", 4)]


def run(graph, arrays):
    session = Session(CPU(), seed=3)
    session.initialise(graph)
    program = session.device.load(graph, session.storages)
    for name, array in arrays.items():
        program.feed(name, array)
    program.run()
    return {**{n: program.fetch(n) for n in graph.outputs}, **session.read()}


@pytest.mark.parametrize("target", TARGETS, ids=["float16", "float8", "gpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_pass_keeps_the_values(name, target):
    graph = training_step(*NETWORKS[name])
    arrays = feeds(graph)
    want = run(graph, arrays)
    for step in opencl_pipeline("error"):
        graph = step.run(graph, target)
        verify(graph, behind=step.name)
        got = run(graph, arrays)
        for value in want:
            # float32 sums in another order
            np.testing.assert_allclose(
                got[value], want[value], rtol=2e-4, atol=2e-5, err_msg=f"{value} behind {step.name}"
            )


@pytest.mark.parametrize("without", [step.name for step in opencl_pipeline(kernels={}) if not step.needed])
def test_a_pass_can_be_left_out(without):
    graph = training_step(*NETWORKS["batch_norm"])
    arrays = feeds(graph)
    want = run(graph, arrays)
    for step in opencl_pipeline():
        if step.name != without:
            graph = step.run(graph, TARGETS[0])
    got = run(graph, arrays)
    for value in want:
        np.testing.assert_allclose(got[value], want[value], rtol=2e-4, atol=2e-5, err_msg=value)
