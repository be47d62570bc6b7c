"""A table of stages as one launch, against NumPy: built and launched here, by nothing of the runtime."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl.emit import Launch
from flownet.devices.opencl.interpreter import Interpreter, counter_ints
from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.matmul import Matmul, matmul
from flownet.devices.opencl.schedule import Stage
from flownet.devices.opencl.target import Target
from flownet.graph import Node
from tests.devices.opencl.run_kernel import Runner

pytestmark = pytest.mark.opencl

BATCH, FEATURES, HIDDEN, CLASSES = 256, 784, 256, 10  # long enough for a second worker to come to


@pytest.fixture(scope="module")
def run():
    return Runner()


@pytest.fixture(scope="module")
def target(run):
    own = Target.of(run.device)
    if own.kind == "gpu":
        pytest.skip("a GPU gets a launch for each kernel")
    return own


@pytest.mark.parametrize("in_turn", [False, True], ids=["side by side", "in turn"])
@pytest.mark.parametrize("workers", [1, 2, 5])  # five: more than run at a time on most machines that test this
def test_stages_wait_for_what_they_read(workers, in_turn, run, target):
    relu = Epilogue((), (("y", "acc > 0.0f ? acc : (vec)(0.0f)"),), (("C", "y"),))
    random = np.random.default_rng(0)
    x, w1, w2 = (
        random.standard_normal(s).astype(np.float32) for s in ((BATCH, FEATURES), (HIDDEN, FEATURES), (CLASSES, HIDDEN))
    )
    given = {"x": x, "w1": w1, "w2": w2, "h": np.zeros(BATCH * HIDDEN), "i": np.zeros(BATCH * HIDDEN)}
    given |= {"y": np.zeros(BATCH * CLASSES), "z": np.zeros(BATCH * CLASSES)}

    def launch(kernel, a, b, c):
        return Launch.of(Node(c, None, {}, ()), kernel, {"A": a, "B": b, "C": c})

    first = matmul(Matmul(BATCH, HIDDEN, FEATURES, False, True), target, relu)
    second = matmul(Matmul(BATCH, CLASSES, HIDDEN, False, True), target)
    stages = [
        Stage([launch(first, "x", "w1", "h"), launch(first, "x", "w1", "i")], in_turn),
        Stage([launch(second, "h", "w2", "y")]),
        Stage([launch(second, "i", "w2", "z")]),
    ]
    whole = np.concatenate([np.asarray(array, np.float32).ravel() for array in given.values()] + [np.zeros(16)]).astype(
        np.float32
    )
    ends = np.cumsum([np.size(array) for array in given.values()])
    places = {name: (0, int(end - np.size(array))) for (name, array), end in zip(given.items(), ends, strict=True)}
    interpreter = Interpreter.of(stages, places, 1, workers)
    memory = run.buffer(whole)
    tables = [run.buffer(table) for table in (interpreter.stages, interpreter.entries, interpreter.pointers)]
    counters = run.buffer(np.zeros(counter_ints(len(stages)), np.int32))
    program = run.cl.Program(run.context, interpreter.source).build(Target.build_options)

    def go(begin, end):
        kernel = run.cl.Kernel(program, "run")
        kernel.set_args(memory, *tables, counters, np.int32(begin), np.int32(end), np.int32(len(stages)))
        run.cl.enqueue_copy(run.queue, memory, whole)  # what the last launch made would hide that nobody waited
        run.cl.enqueue_nd_range_kernel(run.queue, kernel, (workers,), (1,))
        run.queue.finish()
        found, left = np.empty(whole.size, np.float32), np.empty(counter_ints(len(stages)), np.int32)
        run.cl.enqueue_copy(run.queue, found, memory)
        run.cl.enqueue_copy(run.queue, left, counters)
        assert not left.any()  # a launch leaves the counters as it found them
        at = places["y"][1]
        return found[at : at + 2 * BATCH * CLASSES].reshape(2, BATCH, CLASSES)

    assert not go(0, 1).any()  # some of the stages, and no more
    expected = np.maximum(x @ w1.T, 0) @ w2.T
    for _ in range(20):  # a worker that did not wait would be seen sooner or later
        for result in go(0, len(stages)):
            np.testing.assert_allclose(result, expected, atol=2e-3)  # sums of 256 products of numbers up to 100
