"""Programs of separate launches: shared out over sources that are built at the same time, each of which is found again."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.kernels.kernel import Kernel
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.separate import SeparateLaunches, shared_out
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.kernels import Template
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import gpu_ids, opened
from tests.passes.small_networks import NETWORKS, feeds, op, training_step

FLOAT4 = TensorType(DType.float32, (4,))


def kernel(name, length, preamble=()):
    return Kernel(name, ("x" * length,), (), (1, 1, 1), preamble)


def test_sources_are_of_like_length_and_hold_each_kernel_once():
    kernels = [kernel(f"k{i}", 1000 * (i % 7 + 1)) for i in range(40)]
    groups = shared_out(kernels)
    assert sorted(k.name for group in groups for k in group) == sorted(k.name for k in kernels)
    lengths = [sum(len(k.body[0]) for k in group) for group in groups]
    assert len(groups) == 10 and max(lengths) - min(lengths) <= 1000  # 157,000 characters, 16 Ki each
    for group in groups:
        assert group == sorted(group, key=kernels.index), "the order of the launches"


def test_kernels_with_other_functions_are_kept_apart():
    groups = shared_out([kernel("a", 1, ("f",)), kernel("b", 1), kernel("c", 1, ("g",)), kernel("d", 1, ("f",))])
    assert [[k.name for k in group] for group in groups] == [["a", "d"], ["b"], ["c"]]
    assert shared_out([]) == []


@pytest.mark.opencl
@pytest.mark.parametrize("device", gpu_ids()[:1])
def test_two_functions_of_one_name_do_not_meet(device):
    """Two kernels of a plugin with the same text, each with its own function `grow`."""
    g = Builder(Graph("two"))
    x = g.input("x", FLOAT4)
    for name, factor in (("double", 2), ("treble", 3)):
        functions = f"float grow(float x) {{ return {factor} * x; }}"
        template = Template(name, ("x",), (("y", FLOAT4),), "y[i] = grow(x[i]);", 4, functions=functions)
        g.graph.output(g.add(template, x=x, name=name).name)
    got = Session(opened(device)).run(g.graph, {"x": np.arange(4, dtype=np.float32)})
    np.testing.assert_array_equal(got["double"], [0, 2, 4, 6])
    np.testing.assert_array_equal(got["treble"], [0, 3, 6, 9])


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """The first device as a GPU whose driver keeps no binaries."""
    name = next(iter(gpu_ids()), None)
    if name is None:
        pytest.skip("no OpenCL device on this machine")
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Target, "of", classmethod(lambda cls, device: cls("gpu", 4, 64, units=8, call_width=16)))
    monkeypatch.setattr("flownet.devices.opencl.separate._LENGTH", 4 << 10)

    def start():
        device = OpenCL("opencl", fallback="cpu")
        device.runtime.builds.of_its_own, device.runtime.builds.compiled = False, 0
        return device

    return start


@pytest.mark.opencl
def test_the_second_start_builds_none_of_the_programs(gpu):
    graph = training_step(*NETWORKS[next(iter(NETWORKS))], optimizer=op("sgd"))
    arrays = feeds(graph, seed=0)
    losses, built = [], []
    for _ in range(2):
        device = gpu()
        losses.append(Session(device, seed=1).run(graph, arrays)["loss"])
        built.append(device.runtime.builds.compiled)
    assert built[0] > 1 and built[1] == 0
    assert losses[0] == losses[1]


@pytest.mark.opencl
def test_programs_are_built_at_the_same_time(gpu, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    meeting, honest = threading.Barrier(2, timeout=60), Runtime.build

    def build(self, source, *arguments, **named):
        meeting.wait()  # ends only where another build has begun
        return honest(self, source, *arguments, **named)

    runtime = gpu().runtime
    monkeypatch.setattr(Runtime, "build", build)
    sources = [(f"__kernel void k(__global float* x) {{ x[0] = {i}; }}", ()) for i in range(4)]
    programs = runtime.build_all(sources, "a test")
    assert [p.all_kernels()[0].function_name for p in programs] == ["k"] * 4


@pytest.mark.opencl
def test_of_several_sources_that_do_not_compile_the_first_is_told(gpu):
    good, bad = "__kernel void k() {}", "__kernel void k() {{ {}(); }}"
    sources = [(source, ()) for source in (good, bad.format("first_one"), good, bad.format("second_one"))]
    with pytest.raises(FlownetError) as caught:
        gpu().runtime.build_all(sources, "`net`")
    found = caught.value.diagnostics[0]
    text = "\n".join((found.message, *found.notes))
    assert found.code == "kernel-build" and "`net`" in text and "first_one" in text and "second_one" not in text


@pytest.mark.opencl
def test_nothing_to_build(gpu):
    assert SeparateLaunches(gpu().runtime, [], "`empty`").programs == []
