"""What a user sees when the machine does not do what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import flownet
from flownet import Op, hookimpl
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError, MachineError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.kernels import Template
from flownet.registry import Registry
from flownet.types import DType, TensorType
from tests.devices.opencl.broken_driver import BAD_BUILD, NO_MEMORY, NO_RESOURCES, Failing, cl_error
from tests.devices.opencl.opencl_devices import AS_GPU, device_ids
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl


@pytest.fixture(params=device_ids())
def device(request):
    return OpenCL(request.param)


def diagnostic(call):
    with pytest.raises(FlownetError) as caught:
        call()
    return caught.value.diagnostics[0]


@dataclass(frozen=True)
class Broken(Op):
    """y = x, with a kernel that no compiler takes"""

    name = "broken"
    source: str = "y[i] = no_such_thing(x[i]);"

    def infer(self, x):
        return x

    def forward(self, x):
        return x

    def opencl(self, g, x):
        return g.add(Template("broken_kernel", ("x",), (("y", x.type),), self.source, x.type.size), x)


BROKEN = """inputs: {x: 'float32[N, 4]'}
nodes:
  - exp: {name: e}
  - broken: {name: b}
  - tanh: {name: t}
"""


@pytest.fixture(params=[*device_ids(), AS_GPU])
def either(request, monkeypatch):
    """A device's name, also as if it were a GPU, whose kernels are launched one by one."""
    if request.param != AS_GPU:
        return request.param
    monkeypatch.setattr(Target, "of", classmethod(lambda cls, device: cls("gpu", 4, 64, units=8, call_width=16)))
    return "opencl"


def test_a_kernel_that_does_not_compile_is_shown_with_its_line_and_its_nodes(either, tmp_path):
    registry = Registry(entry_points=False)
    registry.register(SimpleNamespace(flownet_ops=hookimpl(lambda: [Broken])), "brings_broken")
    (tmp_path / "net.yaml").write_text(BROKEN)
    net = flownet.load(tmp_path / "net.yaml", device=either, registry=registry)
    with pytest.raises(FlownetError) as caught:
        net.run(x=np.ones((2, 4), np.float32))
    (found,) = caught.value.diagnostics
    assert found.code == "kernel-build" and caught.value.exit_status == 1  # an author's mistake, not the machine's
    assert (found.span.line, found.span.file.name) == (4, str(tmp_path / "net.yaml"))
    first, log, excerpt, saved = found.notes
    assert first.startswith("these lines compute `b") and "net.yaml:4)" in first and "`t`" not in first
    assert "error" in log
    (line,) = (line for line in excerpt.splitlines() if line.startswith(">"))
    number, text = line.removeprefix(">").split(" | ", 1)
    assert text == "y[i] = no_such_thing(x[i]);"
    source = Path(saved.removeprefix("the whole source is in ")).read_text()
    assert source.splitlines()[int(number) - 1] == text


def test_a_driver_that_compiles_nothing_is_the_machines_failure(device, monkeypatch):
    class Crashing:
        def __init__(self, *arguments):
            pass

        def build(self, *arguments, **named):
            raise cl_error(BAD_BUILD, "clBuildProgram")

    monkeypatch.setattr(device.runtime.cl, "Program", Crashing)
    graph = Graph("net")
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (4, 4)))
    graph.output(g.add(op("softmax"), x, name="s").name)
    with pytest.raises(MachineError) as caught:
        Session(device).plan(graph, {})
    (found,) = caught.value.diagnostics
    assert found.code == "kernel-build" and "names no line" in found.notes[0] and "`s" in found.notes[0]
    assert "driver" in found.help


WIDE = """inputs: {x: 'float32[N, 8]'}
nodes:
  - dense: {units: 1024, name: wide}
  - tanh
  - dense: {units: 2}
"""


def out_of_memory(net, batch=4096):
    with pytest.raises(MachineError) as caught:
        net.run(x=np.ones((batch, 8), np.float32))
    (found,) = caught.value.diagnostics
    assert found.code == "out-of-memory" and "batch" in found.help and "--memory-limit" in found.help
    return found


@pytest.fixture
def wide(device, tmp_path):
    (tmp_path / "wide.yaml").write_text(WIDE)
    return flownet.load(tmp_path / "wide.yaml", device=device.found.id)


def test_what_is_too_large_at_once_is_told_with_its_largest_values(wide):
    wide.session.device.runtime.largest_buffer = 1 << 23
    found = out_of_memory(wide)
    # 4096 rows of 1024 floats are 16 MB; the outputs, of two floats, and partial sums are little beside them
    assert "the results of `wide` take 16." in found.message and "at most 8.0 MB at once" in found.message
    assert "wide.yaml:" in found.notes[0] and found.notes[0].endswith(": 16.0 MB")


def test_what_is_too_large_together_is_told_before_it_is_taken(wide, monkeypatch):
    runtime = wide.session.device.runtime
    held = sum(region.nbytes for region in runtime.regions)
    monkeypatch.setattr(runtime, "largest_buffer", held + (1 << 23))
    runtime.found = replace(runtime.found, memory=held + (1 << 23))
    wide.run(x=np.ones((1500, 8), np.float32))  # 5.9 MB at once are little enough, twice that is not
    found = out_of_memory(wide, 1499)
    assert "no memory for the results of `wide`: " in found.message
    assert "wide.yaml:" in found.notes[0] and found.notes[0].endswith(": 5.9 MB")
    held = [note.removeprefix("held: ").split(",")[0] for note in found.notes if note.startswith("held: ")]
    assert {"parameters", "the results of `wide`"} <= set(held) and found.notes[-1].startswith("held together: ")


@pytest.mark.parametrize("code", [NO_MEMORY, NO_RESOURCES])
def test_an_allocation_that_fails_says_for_what(wide, monkeypatch, code):
    runtime = wide.session.device.runtime
    monkeypatch.setattr(runtime.cl, "Buffer", Failing(None, code))
    found = out_of_memory(wide)
    assert "no memory for the results of `wide`: 16." in found.message
    assert "wide.yaml:" in found.notes[1] and any("held: parameters" in note for note in found.notes)


def test_the_hosts_memory_may_be_what_is_missing(wide, monkeypatch):
    import flownet.devices.opencl.memory as memory

    def none(*arguments):
        raise MemoryError("unable to allocate")

    monkeypatch.setattr(memory, "np", SimpleNamespace(zeros=none, uint8=np.uint8))
    assert "no memory for the results of `wide`" in out_of_memory(wide).message


def test_numpy_s_memory_may_be_what_is_missing(tmp_path):
    (tmp_path / "wide.yaml").write_text(WIDE)
    net = flownet.load(tmp_path / "wide.yaml", device="cpu")
    with pytest.raises(MachineError) as caught:
        net.plan(N=1 << 40)  # dense's and tanh's result, 4 PiB each: no system promises that
    (found,) = caught.value.diagnostics
    assert found.code == "out-of-memory" and "`wide`: 8,589,934,592.0 MB" in found.message
    assert "wide.yaml:3: 4,294,967,296.0 MB" in found.notes[0] and "batch" in found.help


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


def test_a_compiler_with_something_to_say_says_nothing_to_the_user(tmp_path):
    """PoCL's compiler counts its warnings on the process's standard error, past Python: nobody can see what they are."""
    code = """
import flownet.devices.opencl.runtime as r
from flownet.devices.opencl.platforms import found_devices
source = "__kernel void k(__global float* x) { if (x[0] == 1 & 2) ; int z = 1.5; x[0] = 1 / 0 + z; }"
r.Runtime(found_devices()[0]).build(source, "a test")
"""
    cache = {"POCL_CACHE_DIR": str(tmp_path), "FLOWNET_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **cache}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
