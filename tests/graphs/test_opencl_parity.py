"""Every graph file on OpenCL beside NumPy: what it computes, and the gradients of all its trainable parameters.

Deep nets on small pictures blow rounding up, more so in some layers than in others, since batch norm divides by the deviation of a
handful of numbers. So both are held against NumPy in double precision, and OpenCL's distance may be a few times that of NumPy in
single precision, tensor by tensor. And a relu near its kink, or a pool with two nearly equal maxima, goes one way or the other: that
changes all gradients below it by some 1e-4, for one batch in several. So a tensor is wrong if it is so for every batch of a few.
"""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder
from flownet.op import Elementwise, SumTo
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.passes.specialise_inference import specialise_inference
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph, with_dtype
from flownet.types import DType
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.graphs.test_running import SMALLER
from tests.graphs.zoo import NAMES, document, random_inputs

pytestmark = pytest.mark.opencl

BATCH, BATCHES = 3, 5
# Winograd's transforms lose a digit that direct sums keep, and a sum's order is another one: measured up to 4 (10 where few elements
# make a tensor). Below the floor, relative to the tensor's size, are tensors that rounding alone makes, such as the gradient of a bias
# whose batch norm takes it away.
TIMES_FLOAT32, FLOOR = 12, 3e-5


def assert_as_good_as_float32(device, graph, batch):
    """`graph`'s outputs on the device are about as near to those in double precision as NumPy's in single precision.

    batch: seed -> inputs
    """
    wide = with_dtype(graph, DType.float64)
    single, ours, exact = Session(CPU(), seed=1), Session(opened(device), seed=1), Session(CPU(), seed=1)
    exact.initialise(wide)
    exact.write(starting(graph))
    wrong: dict[str, str] = dict.fromkeys(graph.outputs, "")
    for seed in range(BATCHES):
        arrays = batch(seed)
        doubles = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        got, near, want = ours.run(graph, arrays), single.run(graph, arrays), exact.run(wide, doubles)
        assert got.keys() == want.keys()
        wrong = {name: difference for name in wrong if (difference := too_far(got[name], near[name], want[name]))}
        if not wrong:
            return
    assert not wrong, "\n".join(f"{name}: {difference}" for name, difference in wrong.items())


def too_far(got, near, want):
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    size = np.linalg.norm(want)
    ours, numpys = (np.linalg.norm(array - want) for array in (got, near))
    if ours <= TIMES_FLOAT32 * numpys + FLOOR * size + 1e-6:
        return ""
    return f"{ours / size:.1e} of its size, NumPy in float32 {numpys / size:.1e}"


def starting(graph):
    session = Session(CPU(), seed=1)
    session.initialise(graph)
    return session.read()


def gradient_graph(name):
    """The loss and the gradients of a graph file's training step; of a weighted sum of its outputs where it says nothing of training."""
    known = document(name, *SMALLER.get(name, ()))
    if known.train:
        graph = training_graph(known.train)
        steps = [node for node in graph.nodes.values() if node.op.category == "optimizer"]
        graph.outputs = {
            "loss": graph.outputs["loss"],
            **{f"d{n.inputs['parameter']}": n.inputs["gradient"] for n in steps},
        }
        return graph
    known = document(name, *SMALLER[name], "outputs=[logits]")
    graph = expand_composites(known.graph.bind({"N": BATCH}))
    g = Builder(graph)
    logits = graph.values[graph.outputs["logits"]]
    weights = np.random.default_rng(0).uniform(0.5, 1.5, logits.type.shape).astype(np.float32)
    weighted = Elementwise((("y", parse("y * w")),), ("y", "w"), (("y", parse("dy * w")),))
    total = g.add(SumTo(()), g.add(weighted, y=logits, w=g.constant(weights)))
    wrt = [value.name for value in graph.parameters if value.trainable]
    graph, gradients = differentiate(graph, total.name, wrt)
    graph.outputs = {"logits": logits.name, **{f"d{parameter}": gradients[parameter] for parameter in wrt}}
    graph.updates = {}
    return graph


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("name", NAMES)
def test_inference(name, device):
    graph = specialise_inference(document(name, *SMALLER.get(name, ())).graph)
    assert_as_good_as_float32(device, graph, lambda seed: random_inputs(graph, BATCH, seed))


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_all_parameters(name, device):
    graph = gradient_graph(name)
    graph.updates = {}
    rates = {n: np.float32(v) for n, v in ((LEARNING_RATE, 0.01), (STEP, 1)) if n in graph.values}
    trained = {value.name for value in graph.parameters if value.trainable}
    assert {f"d{parameter}" for parameter in trained} <= graph.outputs.keys()
    assert_as_good_as_float32(device, graph, lambda seed: random_inputs(graph, BATCH, seed) | rates)
