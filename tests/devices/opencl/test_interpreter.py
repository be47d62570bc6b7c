"""A table of stages on the device's threads, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl.device_threads import DeviceThreads
from flownet.devices.opencl.emit import Launch
from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.matmul import Matmul, matmul
from flownet.devices.opencl.memory import Region
from flownet.devices.opencl.schedule import Stage
from flownet.graph import Node
from tests.devices.opencl.opencl_devices import device_ids, opened

pytestmark = pytest.mark.opencl

BATCH, FEATURES, HIDDEN, CLASSES = 256, 784, 256, 10  # long enough for a second worker to come to


@pytest.fixture(params=device_ids())
def runtime(request):
    runtime = opened(request.param).runtime
    if runtime.target.kind == "gpu" or not runtime.shares_memory:
        pytest.skip("a GPU gets a launch for each kernel")
    return runtime


@pytest.mark.parametrize("in_turn", [False, True], ids=["side by side", "in turn"])
@pytest.mark.parametrize("workers", [1, 2, 5])  # five: more than run at a time on most machines that test this
def test_stages_wait_for_what_they_read(workers, in_turn, runtime):
    relu = Epilogue((), (("y", "acc > 0.0f ? acc : (vec)(0.0f)"),), (("C", "y"),))
    random = np.random.default_rng(0)
    x, w1, w2 = (
        random.standard_normal(s).astype(np.float32) for s in ((BATCH, FEATURES), (HIDDEN, FEATURES), (CLASSES, HIDDEN))
    )
    given = {"x": x, "w1": w1, "w2": w2, "h": np.zeros(BATCH * HIDDEN), "i": np.zeros(BATCH * HIDDEN)}
    given |= {"y": np.zeros(BATCH * CLASSES), "z": np.zeros(BATCH * CLASSES)}

    def launch(kernel, a, b, c):
        return Launch.of(Node(c, None, {}, ()), kernel, {"A": a, "B": b, "C": c})

    first = matmul(Matmul(BATCH, HIDDEN, FEATURES, False, True), runtime.target, relu)
    second = matmul(Matmul(BATCH, CLASSES, HIDDEN, False, True), runtime.target)
    stages = [
        Stage([launch(first, "x", "w1", "h"), launch(first, "x", "w1", "i")], in_turn),
        Stage([launch(second, "h", "w2", "y")]),
        Stage([launch(second, "i", "w2", "z")]),
    ]
    whole = np.concatenate([np.asarray(array, np.float32).ravel() for array in given.values()])
    ends = np.cumsum([np.size(array) for array in given.values()])
    places = {name: (0, int(end - np.size(array))) for (name, array), end in zip(given.items(), ends, strict=True)}
    region = Region(runtime, whole.nbytes, "the arrays of a test")
    memory = region.host[: whole.nbytes].view(np.float32)
    program = DeviceThreads(runtime, stages, places, [[region]], workers, "a test")

    def go(begin, end):
        memory[:] = whole  # what the last launch made would hide that nobody waited
        program.launcher(begin, end, 0)()
        runtime.queue.finish()
        left = np.empty(program._tables[-1].size // 4, np.int32)
        runtime.cl.enqueue_copy(runtime.queue, left, program._tables[-1])
        assert not left.any()  # a launch leaves the counters as it found them
        at = places["y"][1]
        return memory[at : at + 2 * BATCH * CLASSES].reshape(2, BATCH, CLASSES)

    assert not go(0, 1).any()  # some of the stages, and no more
    expected = np.maximum(x @ w1.T, 0) @ w2.T
    for _ in range(20):  # a worker that did not wait would be seen sooner or later
        for result in go(0, len(stages)):
            np.testing.assert_allclose(result, expected, atol=2e-3)  # sums of 256 products of numbers up to 100
