"""What a user sees when the machine does not do what it should."""

from __future__ import annotations

import numpy as np
import pytest

import flownet
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.runtime import Runtime
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.kernels import Template
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl


@pytest.fixture(params=device_ids())
def device(request):
    return OpenCL(request.param)


def diagnostic(call):
    with pytest.raises(FlownetError) as caught:
        call()
    return caught.value.diagnostics[0]


def test_a_kernel_that_does_not_compile_is_shown_with_its_line(device):
    graph = Graph("broken")
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (4,)))
    graph.output(g.add(Template("bad", ("x",), (("y", x.type),), "y[i] = no_such_thing(x[i]);", 4), x=x, name="y").name)
    found = diagnostic(lambda: Session(device).plan(graph, {}))
    text = "\n".join((found.message, *found.notes))
    assert found.code == "kernel-build" and "`broken`" in text
    assert any(line.startswith(">") and "no_such_thing" in line for line in text.splitlines())


def test_too_much_memory_is_told_before_it_is_taken(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (1, 8)))
    wide = g.add(
        op("matmul"),
        g.add(op("reshape", shape=(8, 1)), x),
        g.add(op("broadcast_to", shape=(1, 1 << 30)), g.constant(np.ones((1, 1), np.float32))),
    )
    graph.output(wide.name)
    device.runtime.largest_buffer = 1 << 26
    found = diagnostic(lambda: Session(device).plan(graph, {}))
    assert found.code == "out-of-memory" and "GiB" in found.message and "MB" in found.notes[0] and "batch" in found.help


def test_a_device_that_fails_is_no_traceback(device):
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(op("exp"), g.input("x", TensorType(DType.float32, (4,))), name="y").name)
    program = Session(device).plan(graph, {}).program
    cl = device.runtime.cl

    def fail():
        cl.Buffer(device.runtime.context, cl.mem_flags.READ_WRITE, 0)  # an error of OpenCL: no buffer is empty

    program._segments = [[fail], [fail]]
    found = diagnostic(program.run)
    assert found.code == "device-failed" and "cpu" in found.help


def test_memory_that_is_not_really_shared_is_copied(device, monkeypatch):
    """A driver that claims unified memory, and lies."""
    monkeypatch.setattr(Runtime, "_really_shares_memory", lambda self: False)
    careful = OpenCL(device.found.id)
    assert not careful.runtime.shares_memory
    graph = Graph()
    g = Builder(graph)
    y = g.add(op("dense", units=3), g.input("x", TensorType(DType.float32, (2, 4))), name="y")
    graph.output(y.name, "y.weight")
    got = Session(careful).run(graph, {"x": np.ones((2, 4), np.float32)})
    np.testing.assert_allclose(got["y"], np.tile(got["y.weight"].sum(1), (2, 1)), rtol=1e-5, atol=1e-6)


def test_a_target_that_fails_its_self_test_is_set_aside(device, monkeypatch):
    widths = []

    def computes(self, target):
        widths.append(target.vector)
        return target.vector <= 8

    monkeypatch.setattr(Runtime, "_computes", computes)
    narrow = Runtime(device.found)
    assert narrow.target.vector <= 8
    if len(widths) == 2:
        assert "16" in narrow.notes[0]
    monkeypatch.setattr(Runtime, "_computes", lambda self, target: False)
    assert diagnostic(lambda: Runtime(device.found)).code == "device-failed"


def test_a_label_out_of_range_is_told_at_its_node():
    text = "inputs: {x: 'float32[N, 2]', label: 'int32[N]'}\nnodes:\n  - cross_entropy: {in: [x, label]}\n"
    net = flownet.load(text, device="opencl")
    found = diagnostic(lambda: net.run(x=np.zeros((2, 2)), label=[0, 5]))
    assert found.code == "label-range"
    assert found.span is not None
    assert (found.span.line, found.span.column) == (3, 5)
