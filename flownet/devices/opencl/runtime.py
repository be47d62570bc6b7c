"""A context and a queue on one device, and programs built on it."""

from __future__ import annotations

import functools
import os
import warnings
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from flownet.devices.lack_of_memory import megabytes, out_of_memory
from flownet.devices.opencl.builds import Builds
from flownet.devices.opencl.faults import Part, build_error, is_of_the_build, lacks_memory
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, preamble
from flownet.devices.opencl.platforms import Found, calling_thread_devices
from flownet.devices.opencl.standby import Crew, crew_on
from flownet.devices.opencl.sub_groups import with_sub_groups
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError, MachineError

__all__ = ["Runtime"]

_MOST_REGIONS = 6  # that an error lists


class Runtime:
    """What programs share on a device."""

    def __init__(self, found: Found) -> None:
        import pyopencl as cl

        self.cl, self.found, self.device = cl, found, found.handle
        self.notes: list[str] = []  # what did not work here, and what is done instead
        self.regions: weakref.WeakSet[Any] = weakref.WeakSet()  # what is allocated, for whom memory is too little
        self.busy: Any = None  # the queue or the crew that has something to do
        self.builds = Builds(found)
        with self.guarded("while it was opened"):
            self.context = cl.Context([self.device])
            self.queue = cl.CommandQueue(self.context, self.device)
            self.largest_buffer = int(self.device.max_mem_alloc_size)
            self.shares_memory = found.type == "cpu" and bool(self.device.host_unified_memory)
            self.target = Target.of(self.device)
            self.target = self._working_target(self.target)
            self.target, problems = with_sub_groups(self, self.target)
            self.notes += problems
            if self.shares_memory:
                self.shares_memory = self._really_shares_memory()

    @functools.cached_property
    def crew(self) -> Crew | None:
        """Who computes small programs: the calling thread, with those that stand by it. None where a driver has no such devices."""
        devices = calling_thread_devices(self.device) if self.shares_memory else ()
        return crew_on(devices) if devices else None

    @functools.cached_property
    def transfers(self) -> Any:
        """A second queue, for copies to a device with memory of its own: they go on beside the kernels of the first."""
        return self.cl.CommandQueue(self.context, self.device)

    def finish(self) -> None:
        """Wait until everything that was launched is done."""
        if self.busy is not None:
            try:
                self.busy.finish()
            except self.cl.Error as error:
                raise self.failed(error) from None
            self.busy = None

    @contextmanager
    def guarded(self, doing: str = "") -> Iterator[None]:
        """What OpenCL raises inside, as the error of this device."""
        try:
            yield
        except self.cl.Error as error:
            raise self.failed(error, doing) from None

    def failed(self, error: Exception, doing: str = "") -> MachineError:
        """What an error of OpenCL is to a user: `out-of-memory` with what is held, or `device-failed`."""
        name, doing = self.found.describe(), f" {doing}" if doing else ""
        if lacks_memory(error):
            return out_of_memory(f"`{name}` has no memory left{doing}", str(error), *self.held())
        doubtful = error.code == self.cl.status_code.OUT_OF_RESOURCES  # type: ignore[attr-defined]
        return MachineError.of(
            "device-failed", f"`{name}` failed{doing}: {error}",
            *(["drivers say so of too little memory, and of a kernel that reached beyond its buffers", *self.held()] if doubtful else []),
            help="start again on another `--device`: `flownet devices` lists them, and `cpu` needs no driver",
        )  # fmt: skip

    def held(self) -> list[str]:
        """What lies in the device's memory, the largest first, and how much it has."""
        held = sorted(self.regions, key=lambda region: -region.nbytes)
        total = sum(region.nbytes for region in held)
        lines = [f"held: {region.what}, {megabytes(region.nbytes)}" for region in held[:_MOST_REGIONS]]
        return [*lines, f"held together: {megabytes(total)} of {megabytes(self.found.memory)}"] if lines else []

    def buffer_of(self, array: np.ndarray) -> Any:
        """A device buffer with a copy of the array."""
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        with self.guarded(f"for {megabytes(array.nbytes)}"):
            return self.cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))

    def build(
        self,
        source: str,
        what: str,
        options: str | None = None,
        *,
        parts: Sequence[Part] = (),
        crew: Sequence[Any] = (),
    ) -> Any:
        """The program of OpenCL C, for the device or for these of the crew's.

        parts: which lines compute which nodes

        Raises FlownetError (`kernel-build`) with the compiler's words, the lines that they are about, and their nodes.
        """
        options = self.target.options if options is None else options
        cl = self.cl
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # compilers talk even when they succeed
            try:
                context = self.crew.context if crew and self.crew else self.context
                return self.builds.program(context, list(crew) or [self.device], source, options)
            except cl.Error as error:
                if not is_of_the_build(error):
                    raise self.failed(error, f"while it compiled the kernels of {what}") from None
                raise build_error(str(error), source, what, self.found.describe(), parts) from None

    def build_all(
        self, sources: Sequence[tuple[str, Sequence[Part]]], what: str, options: str | None = None
    ) -> list[Any]:
        """The programs of several sources with their parts, built at the same time. Of several that fail, the first is told."""
        with warnings.catch_warnings():  # `build` sets the filters too, and they are shared by all threads
            warnings.simplefilter("ignore")
            with ThreadPoolExecutor(max(1, min(len(sources), os.cpu_count() or 1))) as pool:
                return list(pool.map(lambda source: self.build(source[0], what, options, parts=source[1]), sources))

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
                problems += [error.diagnostics[0].message, *error.diagnostics[0].notes]
            except self.cl.Error as error:
                problems.append(f"a kernel with vectors of {candidate.vector} floats does not run: {error}")
            self.notes += problems[:1]
        raise MachineError.of(
            "device-failed",
            f"`{self.found.describe()}` fails its self-test",
            *dict.fromkeys(problems),
            help="update its driver, or use another `--device`",
        )

    def works(self) -> bool:
        """Whether a kernel still runs, and computes what it should."""
        try:
            return self._computes(self.target)
        except (FlownetError, self.cl.Error):
            return False

    def _computes(self, target: Target) -> bool:
        """Whether what every kernel for the target needs gives what NumPy gives."""
        return self._multiplies(target) and (target.kind != "gpu" or self._shares_in_groups())

    def _shares_in_groups(self) -> bool:
        """Whether 256 work-items, which a device may say that it has and have not, meet at a barrier over local memory."""
        source = (
            "__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void reverse(__global float* x) {\n"
            "__local float kept[256];\nconst int i = get_local_id(0);\nkept[i] = x[i];\n"
            "barrier(CLK_LOCAL_MEM_FENCE);\nx[i] = kept[255 - i];\n}\n"
        )
        x = np.arange(256, dtype=np.float32)
        z = np.zeros_like(x)
        cl, buffer = self.cl, self.buffer_of(x)
        kernel = cl.Kernel(self.build(source, "the self-test"), "reverse")
        kernel.set_args(buffer)
        cl.enqueue_nd_range_kernel(self.queue, kernel, (256,), (256,))
        cl.enqueue_copy(self.queue, z, buffer)
        return bool(np.array_equal(z, x[::-1]))

    def _multiplies(self, target: Target) -> bool:
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
