"""A context and a queue on one device, and programs built on it.

Binaries are cached once. PoCL keeps its own (below POCL_CACHE_DIR, else ~/.cache/pocl) by source, options and its version; so does
NVIDIA's driver. For the others they lie below `cache_folder()`, by device, driver, options and source. PyOpenCL's cache is always off: it would
store the same a second time.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flownet.devices.opencl.kernels.kernel import Argument, Kernel, preamble
from flownet.devices.opencl.platforms import Found, calling_thread_device
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError

__all__ = ["Runtime", "cache_folder"]


def cache_folder() -> Path:
    """Where binaries and tuning results lie: FLOWNET_CACHE_DIR, else `flownet` below XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("FLOWNET_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flownet"


class Runtime:
    """What programs share on a device."""

    def __init__(self, found: Found) -> None:
        import pyopencl as cl

        self.cl, self.found, self.device = cl, found, found.handle
        try:
            self.alone = calling_thread_device(self.device)  # for programs of one worker
            self.context = cl.Context([self.device, *([self.alone] if self.alone else [])])
            self.queue = cl.CommandQueue(self.context, self.device)
            self.alone_queue = cl.CommandQueue(self.context, self.alone) if self.alone else self.queue
        except cl.Error as error:
            raise FlownetError.of(
                "device-failed",
                f"`{found.describe()}` cannot be opened: {error}",
                help="try another `--device`; `flownet devices` lists them",
            ) from None
        self.notes: list[str] = []  # what did not work here, and what is done instead
        self.largest_buffer = int(self.device.max_mem_alloc_size)
        self.keeps_binaries = any(word in found.platform.lower() for word in ("portable", "pocl", "nvidia"))
        self.shares_memory = found.type == "cpu" and bool(self.device.host_unified_memory)
        self.busy = False
        self.queue_in_use = self.queue
        self.built = 0  # programs compiled, and not found in a cache of ours
        self.target = self._working_target(Target.of(self.device))
        if self.shares_memory:
            self.shares_memory = self._really_shares_memory()

    @functools.cached_property
    def transfers(self) -> Any:
        """A second queue, for copies to a device with memory of its own: they go on beside the kernels of the first."""
        return self.cl.CommandQueue(self.context, self.device)

    def finish(self) -> None:
        """Wait until everything that was launched is done."""
        if self.busy:
            try:
                self.queue_in_use.finish()
            except self.cl.Error as error:
                raise self.failed(error) from None
            self.busy = False

    def use(self, queue: Any) -> None:
        """Say which queue the next launches go to: what the other one still does is waited for."""
        if queue is not self.queue_in_use:
            self.finish()
            self.queue_in_use = queue

    def failed(self, error: Exception) -> FlownetError:
        """The error of a device that stopped working."""
        return FlownetError.of(
            "device-failed", f"`{self.found.describe()}` failed: {error}",
            help="start again with `--device cpu`; a checkpoint continues where it was written",
        )  # fmt: skip

    def buffer_of(self, array: np.ndarray) -> Any:
        """A device buffer with a copy of the array."""
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        return self.cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))

    def build(self, source: str, what: str, options: str | None = None, *, alone: bool = False) -> Any:
        """The program of OpenCL C, for the device or for the one of programs of one worker (`alone`).

        Raises FlownetError (`kernel-build`) with the compiler's words and the lines that they are about.
        """
        options = Target.build_options if options is None else options
        cl = self.cl
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # compilers talk even when they succeed
            try:
                if not self.keeps_binaries:
                    return self._cached(source, options)
                self.built += 1
                devices = [self.alone if alone and self.alone else self.device]
                return cl.Program(self.context, source).build(options, devices=devices, cache_dir=False)
            except cl.Error as error:
                raise _build_error(str(error), source, what, self.found.describe()) from None

    def _cached(self, source: str, options: str) -> Any:
        cl = self.cl
        key = "\0".join([self.found.name, self.found.version, self.found.driver, options, source])
        path = cache_folder() / "opencl" / (hashlib.sha256(key.encode()).hexdigest() + ".bin")
        try:
            binary = path.read_bytes()
            return cl.Program(self.context, [self.device], [binary]).build(options, cache_dir=False)
        except (OSError, cl.Error):  # absent, or of no use any more: build it anew
            pass
        self.built += 1
        program = cl.Program(self.context, source).build(options, cache_dir=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(program.get_info(cl.program_info.BINARIES)[0])
            os.replace(file.name, path)  # atomic: two processes may build the same
        except OSError:
            pass  # a cache that cannot be written costs time, no more
        return program

    def _working_target(self, target: Target) -> Target:
        """The target, or one of narrower vectors where a kernel with those of `target` does not compute what it should.

        Raises FlownetError (`device-failed`) for a device on which neither does: it is then set aside.
        """
        problems = []
        narrow = replace(target, vector=min(target.vector, 8), registers=16, attributes="", call_width=8)
        for candidate in dict.fromkeys((target, narrow)):
            try:
                if self._computes(candidate):
                    return candidate
                problems.append(f"kernels with vectors of {candidate.vector} floats give wrong results")
            except FlownetError as error:
                problems.append(error.diagnostics[0].message)
            self.notes.append(problems[-1])
        raise FlownetError.of(
            "device-failed",
            f"`{self.found.describe()}` fails its self-test",
            *problems,
            help="update its driver, or use another `--device`",
        )

    def _computes(self, target: Target) -> bool:
        """Whether a loop of multiply-adds and a built-in function on whole vectors give what NumPy gives."""
        v = target.vector
        half = target.call_width < v
        root = "y.lo = sqrt(c.lo); y.hi = sqrt(c.hi);" if half else "y = sqrt(c);"
        body = (
            "const vec a = *(__global const vecu*)x; vec c = 1.0f;",
            "for (int k = 0; k < 20; k++) c = c * a + a;",
            f"vec y; {root}",
            "*(__global vecu*)z = y;",
        )
        arguments = (Argument("x", "in", v), Argument("z", "out", v))
        kernel = Kernel("self_test", body, arguments, (1, 1, 1), (preamble(target),), attributes=target.attributes)
        x = np.linspace(0.1, 0.9, v, dtype=np.float32)
        z = np.zeros(v, np.float32)
        buffers = [self.buffer_of(x), self.buffer_of(z)]
        cl = self.cl
        built = cl.Kernel(self.build(kernel.source(), "the self-test"), kernel.name)
        built.set_args(*buffers)
        cl.enqueue_nd_range_kernel(self.queue, built, (1,), (1,))
        cl.enqueue_copy(self.queue, z, buffers[1])
        c = np.ones(v)
        for _ in range(20):
            c = c * x + x
        return bool(np.allclose(z, np.sqrt(c), rtol=1e-4))

    def _really_shares_memory(self) -> bool:
        """Whether a kernel sees what NumPy wrote, and NumPy what a kernel wrote, without a copy or a mapping between."""
        cl = self.cl
        whole = np.zeros(8192, np.uint8)
        start = -whole.ctypes.data % 4096
        array = whole[start : start + 4096].view(np.float32)
        buffer = cl.Buffer(self.context, cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR, hostbuf=array)
        program = self.build(
            "__kernel void add_one(__global float* x) { x[get_global_id(0)] += 1; }", "the test of shared memory"
        )
        kernel = cl.Kernel(program, "add_one")
        kernel.set_args(buffer)
        for i in range(3):
            array[0] = 10 * i
            cl.enqueue_nd_range_kernel(self.queue, kernel, (1,), (1,))
            self.queue.finish()
            if array[0] != 10 * i + 1:
                return False
        return True


def _build_error(text: str, source: str, what: str, device: str) -> FlownetError:
    lines = source.splitlines()
    log = text[:4000]
    wanted = sorted(
        {int(n) for n in re.findall(r":(\d+):\d+: (?:fatal )?error", text)}
        or {int(n) for n in re.findall(r":(\d+):\d+:", text)}
    )
    excerpts = []
    for number in wanted[:3]:
        around = range(max(0, number - 3), min(len(lines), number + 2))
        excerpts.append("\n".join(f"{'>' if i + 1 == number else ' '}{i + 1:5} | {lines[i]}" for i in around))
    with tempfile.NamedTemporaryFile("w", suffix=".cl", prefix="flownet-", delete=False) as file:
        file.write(source)
    return FlownetError.of(
        "kernel-build", f"`{device}` does not compile the kernels of {what}", log, *excerpts, f"the whole source is in {file.name}",
        help="if a plugin's kernel is at fault, mend it there; `--device cpu` runs without kernels",
    )  # fmt: skip
