"""Every op over random problems on OpenCL against NumPy: outputs, and the gradients of all that can have one.

Three problems an op and device, the same ones in every run; FLOWNET_EXAMPLES=50 looks at more, which differ from run to run.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise, SumTo
from flownet.passes.differentiate import differentiate, sum_of
from flownet.passes.expand_composites import expand_composites
from flownet.registry import default_registry
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import close, device_ids, opened
from tests.devices.opencl.problems import ELEMENTWISE, PROBLEMS, elementwise_shapes, op

pytestmark = pytest.mark.opencl

EXAMPLES = int(os.environ.get("FLOWNET_EXAMPLES", 3))
few = settings(
    max_examples=EXAMPLES, derandomize="FLOWNET_EXAMPLES" not in os.environ, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def with_gradients(applications, arrays, inner=()):
    """The graph of (name, op, its inputs by name): all outputs, and the gradients of a weighted sum of the first floating ones.

    An input may be what an earlier application made. inner: applications whose outputs are not fetched
    """
    graph = Graph("random problem")
    g = Builder(graph)
    values = {n: g.input(n, TensorType(DType.of(a.dtype), a.shape)) for n, a in arrays.items()}
    tops = []
    for name, applied, inputs in applications:
        made = g.add(applied, name=name, **{argument: values[value] for argument, value in inputs.items()})
        made = made if isinstance(made, tuple) else (made,)
        values[name] = made[0]
        if name in inner:
            continue
        graph.output(*(value.name for value in made))
        if applied.differentiable != () and made[0].type.dtype is DType.float32:
            tops.append(made[0].name)
    states = dict(graph.updates)
    graph = expand_composites(graph)
    if tops:
        g = Builder(graph)
        weighted = Elementwise((("y", parse("y * w")),), ("y", "w"), (("y", parse("dy * w")),))
        totals = []
        for top in tops:
            y = graph.values[graph.outputs[top]]
            w = np.random.default_rng(0).uniform(0.5, 1.5, y.type.shape).astype(np.float32)
            totals.append(g.add(SumTo(()), g.add(weighted, y=y, w=g.constant(w))))
        total = totals[0] if len(totals) == 1 else sum_of(g, totals)
        wrt = [v.name for v in (*graph.inputs, *graph.parameters) if v.type.dtype is DType.float32]
        if wrt:
            graph, gradients = differentiate(graph, total.name, wrt)
            graph.outputs |= {f"d{name}": gradients[name] for name in wrt}
    graph.updates = states
    return graph


def assert_parity(device, graph, arrays, what):
    want = Session(CPU(), seed=1).run(graph, arrays)
    got = Session(opened(device), seed=1, check=True).run(graph, arrays)
    assert want.keys() == got.keys()
    for name in want:
        close(got[name], want[name], f"{name} of {what}")


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("name", PROBLEMS)
def test_outputs_and_gradients(name, device):
    @few
    @given(problem=PROBLEMS[name])
    def examine(problem):
        graph = with_gradients([("out", problem.op, {n: n for n in problem.inputs})], problem.inputs)
        assert_parity(device, graph, problem.inputs, problem)

    examine()


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("operands", [1, 2])
def test_elementwise_ops_together(operands, device):
    """All ops of so many operands in one graph: they differ in what they compute and not in how."""

    @few
    @given(shapes=elementwise_shapes())
    def examine(shapes):
        rng = np.random.default_rng(0)
        arrays, applications = {}, []
        for name, (attributes, ranges) in ELEMENTWISE.items():
            if len(ranges) != operands:
                continue
            made = op(name, **attributes)
            arguments = ("x0", "x1") if made.variadic else made.signature_inputs
            inputs = {argument: f"{name}_{argument}" for argument in arguments}
            applications.append((name, made, inputs))
            for value, bounds, shape in zip(inputs.values(), ranges, shapes, strict=False):
                arrays[value] = rng.uniform(*bounds, shape).astype(np.float32)
        assert_parity(device, with_gradients(applications, arrays), arrays, shapes)

    examine()


def test_every_op_has_problems():
    assert {*PROBLEMS, *ELEMENTWISE} == set(dict(default_registry().items("op")))
