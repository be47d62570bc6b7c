"""Which launches share a stage, and in which order they run."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl.kernels.kernel import product
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.passes.small_networks import op

pytestmark = [pytest.mark.opencl, pytest.mark.parametrize("device", device_ids())]


def classifier(examples: int, features: int, classes: int) -> Graph:
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (examples, features)))
    w = g.input("w", TensorType(DType.float32, (features, classes)))
    graph.output(g.add(op("softmax"), g.add(op("matmul"), x, w), name="y").name)
    return graph


def test_single_work_groups_run_in_turn_in_one_stage(device):
    session = Session(opened(device), seed=0)
    graph = classifier(64, 4096, 10)  # large enough for two workers
    program = session.plan(graph, {}).program
    (chain,) = [stage for stage in program._stages if stage.in_turn]
    assert [launch.kernel.name for launch in chain.launches] == ["reduce", "elementwise", "reduce", "elementwise"]
    assert all(product(launch.kernel.grid) == 1 for launch in chain.launches)
    made: set[str] = set()
    for launch in chain.launches:  # each reads only what is there by then
        later = {name for other in chain.launches for name in other.writes} - made - set(launch.writes)
        assert not later & set(launch.reads), launch.kernel.name
        made |= set(launch.writes)
    random = np.random.default_rng(0)
    x, w = random.standard_normal((64, 4096)), random.standard_normal((4096, 10)) / 64
    e = np.exp(x @ w - (x @ w).max(1, keepdims=True))
    for _ in range(20):  # a worker that did not wait would be seen sooner or later
        got = session.run(graph, {"x": x.astype(np.float32), "w": w.astype(np.float32)})["y"]
        np.testing.assert_allclose(got, e / e.sum(1, keepdims=True), rtol=2e-4, atol=1e-6)


def test_work_for_many_is_left_side_by_side(device):
    program = Session(opened(device), seed=0).plan(classifier(4096, 64, 100), {}).program
    for stage in program._stages:
        assert not stage.in_turn
        written = {name for launch in stage.launches for name in launch.writes}
        assert not any(written & set(launch.reads) for launch in stage.launches)
