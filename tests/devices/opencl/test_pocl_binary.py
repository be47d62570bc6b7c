"""Binaries without LLVM's form of the program: the bytes, and that PoCL computes with what is left."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from flownet.devices.opencl import builds
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.pocl_binary import without_llvm
from flownet.devices.opencl.runtime import Runtime
from tests.devices.opencl.broken_driver import BAD_BUILD, cl_error
from tests.devices.opencl.opencl_devices import device_ids

FOLDER = b"AB/" + 37 * b"C"


def counted(*parts):
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def binary(version=8, folder=FOLDER, name=b"/program.bc", kernels=b"kernels"):
    header = b"poclbin\0" + struct.pack("<QIIQ", 77, version, 3, 8) + folder + b"\0"
    return header + counted(name, b"BC of LLVM") + kernels


def test_llvm_s_form_is_left_out_and_the_folder_is_another():
    whole = binary()
    less = without_llvm(whole)
    assert less[:32] == whole[:32] and less[72:73] == b"\0"
    assert less[32:72] != FOLDER and less[34:35] == b"/" and less[32:72].replace(b"/", b"").isalnum()
    assert less[73:] == counted(b"/machine_code_alone", b"\n") + b"kernels"
    assert without_llvm(binary(kernels=b"others"))[32:72] != less[32:72]


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"poclbin\0",
        binary()[:90],
        binary(version=7),
        binary(version=9),
        binary(name=b"/program.spv"),
        binary(folder=40 * b"C"),
        binary(kernels=b""),
        b"\x7fELF" + binary(),
    ],
    ids=["empty", "magic", "cut", "older", "newer", "another file", "another folder", "no kernels", "another magic"],
)
def test_another_format_is_left_alone(other):
    assert without_llvm(other) is None


@pytest.fixture(params=device_ids())
def pocl(request, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path))
    runtime = Runtime(find(request.param))
    if not runtime.builds.pocl or runtime.builds.of_its_own:
        pytest.skip("not a PoCL whose binaries are of the known format")
    return runtime


def sums(runtime):
    """Of work-groups of 4 work-items, which meet at a barrier."""
    source = """
    __kernel void sum(__global float* x, const int add) {
        __local float kept[4];
        kept[get_local_id(0)] = x[get_global_id(0)];
        barrier(CLK_LOCAL_MEM_FENCE);
        x[get_global_id(0)] = kept[0] + kept[1] + kept[2] + kept[3] + add;
    }"""
    cl, x = runtime.cl, np.arange(8, dtype=np.float32)
    buffer = runtime.buffer_of(x)
    kernel = cl.Kernel(runtime.build(source, "a test"), "sum")
    kernel.set_args(buffer, np.int32(1))
    cl.enqueue_nd_range_kernel(runtime.queue, kernel, (8,), (4,))
    cl.enqueue_copy(runtime.queue, x, buffer)
    return x


@pytest.mark.opencl
def test_a_binary_without_it_computes_the_same_at_the_first_start_and_the_second(pocl):
    before = pocl.builds.compiled
    for _ in range(2):
        np.testing.assert_array_equal(sums(pocl), [7] * 4 + [23] * 4)
        assert pocl.builds.compiled == before + 1


def refused(*arguments):
    raise cl_error(BAD_BUILD)


@pytest.mark.opencl
@pytest.mark.parametrize(
    ("name", "other"),
    [("without_llvm", lambda binary: None), ("_of_binary", refused), ("_binary_of", lambda program: b"")],
    ids=["of another format", "that refuses them", "that gives none"],
)
def test_a_pocl_keeps_its_binaries_itself(pocl, tmp_path, monkeypatch, name, other):
    kept = len(list((tmp_path / "opencl").iterdir()))
    monkeypatch.setattr(builds, name, other)
    np.testing.assert_array_equal(sums(pocl), [7] * 4 + [23] * 4)
    assert pocl.builds.of_its_own and len(list((tmp_path / "opencl").iterdir())) == kept


@pytest.mark.opencl
@pytest.mark.skipif(sys.platform != "linux", reason="asks the GNU C library")
def test_a_program_that_was_built_before_takes_little_memory(pocl, tmp_path):
    """At a start but the first: less than twice its binary; what the compiler made of it takes forty times that. The first gives back
    what the compiler freed, tens of megabytes."""
    code = """
import ctypes, json, resource
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.runtime import Runtime

class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

def used():
    found = mallinfo2()
    return found.uordblks + found.hblkhd

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Heap
lines = "\\n".join(f"x[{i}] = sqrt(x[{i}]) + x[{i + 1}] * x[{i + 2}];" for i in range(3000))
runtime = Runtime(find(DEVICE))
source = f"__kernel void large(__global float* x) {{ {lines} }}"
before = used()
program = runtime.build(source, "a test")
kernel = runtime.cl.Kernel(program, "large")
taken, held = used() - before, resident()
ctypes.CDLL(None).malloc_trim(0)
print(json.dumps([taken, held - resident()]))
""".replace("DEVICE", repr(pocl.found.id))
    environment = {**os.environ, "FLOWNET_CACHE_DIR": str(tmp_path), "POCL_CACHE_DIR": str(tmp_path / "pocl")}

    def started():
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    _, kept = started()
    taken, _ = started()
    assert kept < 5e6
    assert taken < 2 * max(file.stat().st_size for file in (tmp_path / "opencl").iterdir())
