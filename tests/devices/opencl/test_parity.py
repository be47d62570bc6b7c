"""Every op on OpenCL against NumPy: forward and all gradients, over the ops' samples, on every OpenCL device of this machine.

NumPy is the oracle here; that NumPy is right is for the ops' own tests to show.
"""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph, Kind
from flownet.op import Elementwise, SumTo
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.registry import default_registry
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import close, device_ids_and_gpu, opened

pytestmark = pytest.mark.opencl

CASES = [
    pytest.param(sample, id=f"{name}-{i}")
    for name, op in default_registry().items("op")
    for i, sample in enumerate(op.samples())
]


def sample_graph(sample):
    """(graph, inputs) of a sample; every float input can be differentiated."""
    arrays = {}
    for name, value in sample.inputs.items():
        array = np.asarray(value)
        arrays[name] = array.astype(np.float32) if array.dtype == np.float64 else array
    graph = Graph("sample")
    g = Builder(graph)
    values = {n: g.input(n, TensorType(DType.of(a.dtype), a.shape)) for n, a in arrays.items()}
    made = g.add(sample.op, name="out", **values)
    made = made if isinstance(made, tuple) else (made,)
    graph.output(*(value.name for value in made))
    graph.updates = {}
    return graph, arrays, made


@pytest.mark.parametrize("device", device_ids_and_gpu())
@pytest.mark.parametrize("sample", CASES)
def test_forward(sample, device):
    graph, arrays, _ = sample_graph(sample)
    states = {v.name: v for v in graph.values.values() if v.kind in (Kind.PARAMETER, Kind.STATE)}
    want_session, got_session = Session(CPU()), Session(opened(device), check=True)
    want = want_session.run(graph, arrays)
    got = got_session.run(graph, arrays)
    assert want.keys() == got.keys()
    for name in want:
        close(got[name], want[name], f"{sample.op}.{name}, states {list(states)}")


def weighted_sum(g, y):
    """The sum of y's elements with weights from a fixed seed: (its value, the weights)."""
    weights = np.random.default_rng(0).uniform(0.5, 1.5, y.type.shape).astype(np.float32)
    product = Elementwise((("y", parse("y * w")),), ("y", "w"), (("y", parse("dy * w")),))
    return g.add(SumTo(()), g.add(product, y=y, w=g.constant(weights))), weights


def gradient_graph(sample):
    """(graph of the gradients of all float inputs, inputs); skips where nothing can be differentiated."""
    graph, arrays, made = sample_graph(sample)
    wrt = [name for name, array in arrays.items() if array.dtype.kind == "f"]
    floats = [value for value in made if value.type.dtype is DType.float32]
    if not wrt or not floats:
        pytest.skip("nothing to differentiate")
    graph = expand_composites(graph)
    total, _ = weighted_sum(Builder(graph), graph.values[graph.outputs[floats[0].name]])
    graph, gradients = differentiate(graph, total.name, wrt)
    graph.outputs, graph.updates = {f"d{name}": gradients[name] for name in wrt}, {}
    return graph, arrays


@pytest.mark.parametrize("device", device_ids_and_gpu())
@pytest.mark.parametrize("sample", CASES)
def test_gradients(sample, device):
    graph, arrays = gradient_graph(sample)
    want = Session(CPU()).run(graph, arrays)
    got = Session(opened(device), check=True).run(graph, arrays)
    for name in want:
        close(got[name], want[name], f"{sample.op}.{name}")


def test_every_op_has_samples():
    """An op without samples would not be tested above."""
    assert [name for name, op in default_registry().items("op") if not list(op.samples())] == []
