"""Threads that stand by: for a moment after a run they stay awake, for the next one.

A thread that sleeps takes 0.03 to 0.1 ms to wake and as long to be waited for, as long as an MLP takes to run. So do those
of PoCL's own pool. A thread that stands by looks at a word in memory instead, inside of a kernel, and is there at once.

PoCL's devices of the kind `basic` run a kernel in the thread that launches it, and the same binary serves all of them. The first is
for the threads that call; each of the others is a standby's own. For one run, one program's worth of them are called.

What a standby does stands in its word, with the number of the program whose kernel it is in. Only the standby itself goes from READY to AWAY,
from CALLED to AT_WORK, and back to READY; only a run goes from READY to CALLED, and back where one did not come in time.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["AT_WORK", "AWAY", "CALLED", "LINE", "READY", "Crew", "crew_on"]

AWAY, READY, CALLED, AT_WORK = range(4)  # the last two bits of a word; above them stands the program's number
LINE = (
    16  # ints of a standby's line: its word, first and last stage (int), address of the table (ulong, from the 4th on)
)


class Crew:
    """The threads on PoCL's `basic` devices, one crew in a process.

    devices: that of the calling threads, then the standbys'
    lock:    held by who runs: a device of this kind runs what any thread has launched on it
    words:   the address of the lines, of which the first is not used
    """

    def __init__(self, devices: list[Any]) -> None:
        import pyopencl as cl

        self.lock = threading.Lock()
        self.devices = devices
        self.context = cl.Context(devices)
        self.queue = cl.CommandQueue(self.context, devices[0])
        self._enqueue, self._finish = _functions(cl)
        self._standbys: list[_Standby] = []
        whole = np.zeros((len(devices) + 1) * LINE, np.int32)  # never freed: a standby may look until the process ends
        self._lines = whole[-whole.ctypes.data % (4 * LINE) // 4 :]
        self.words = self._lines.ctypes.data
        self._words = memoryview(self._lines)
        self._programs = 0
        atexit.register(self._go)

    def _go(self) -> None:
        """End all standbys: threads that are in a kernel when Python ends would end the process with an error."""
        with self.lock:
            for i, standby in enumerate(self._standbys, 1):
                self._words[i * LINE] = AWAY
                standby.end()
            self._standbys = []
            self.devices = self.devices[:1]

    def new_program(self) -> int:
        """A number for a program, as words have it: above their two bits of state."""
        with self.lock:
            self._programs = self._programs % (1 << 28) + 1
            return self._programs << 2

    def launch(self, queue: Any, kernel: Any) -> int:
        """Run a work-item of the kernel in this thread, other Python threads beside it; OpenCL's status."""
        at = queue.int_ptr
        return self._enqueue(at, kernel.int_ptr, 1, None, _ONE, _ONE, 0, None, None) or self._finish(at)

    def call(self, ready: int, kernels: Sequence[Any]) -> None:
        """Let a standby be in each of a program's kernels; `ready` is the program's number, and READY.

        To be called with `lock` held, and nobody at work.
        """
        words, at = self._words, 0
        for _ in kernels:
            at += LINE
            if words[at] != ready:
                self._wake(ready, kernels)
                return

    def _wake(self, ready: int, kernels: Sequence[Any]) -> None:
        for device in self.devices[len(self._standbys) + 1 : len(kernels) + 1]:
            self._standbys.append(_Standby(self, device))
        others = _processors() - {_this_processor()}  # one on this thread's processor would only be waited for
        for i, standby, kernel in zip(range(len(others)), self._standbys, kernels, strict=False):
            at = (i + 1) * LINE
            if self._words[at] != ready:
                self._words[at] = ready
                standby.wake(kernel, others)


class _Standby:
    """A thread with a device of its own, which sleeps until it is told whose kernel to stand by in."""

    def __init__(self, crew: Crew, device: Any) -> None:
        import pyopencl as cl

        self._crew, self._queue = crew, cl.CommandQueue(crew.context, device)
        self._kernel: Any = None
        self._ends = False
        self._woken = threading.Semaphore(0)
        self._processors: set[int] = set()
        self._thread = threading.Thread(target=self._serve, name="flownet-standby", daemon=True)
        self._thread.start()

    def wake(self, kernel: Any, processors: set[int]) -> None:
        """Stand by in the kernel, on one of these processors."""
        if processors != self._processors and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # after a fork there is no such thread: nobody comes
                os.sched_setaffinity(self._thread.native_id or 0, processors)
            self._processors = processors
        self._kernel = kernel
        self._woken.release()

    def end(self) -> None:
        """Let the thread end; it is in no kernel, or leaves one."""
        self._ends = True
        self._woken.release()
        self._thread.join(1)

    def _serve(self) -> None:
        while True:
            self._woken.acquire()
            if self._ends:
                return
            kernel, self._kernel = self._kernel, None
            if kernel is not None:
                self._crew.launch(self._queue, kernel)  # where that fails nobody comes, and the caller works alone
            del kernel  # a program's memory is not held by one who sleeps


@functools.cache
def crew_on(devices: tuple[Any, ...]) -> Crew:
    """The process's crew on these devices."""
    return Crew(list(devices))


_SIZE = (ctypes.c_size_t * 1)(1)
_ONE = ctypes.addressof(_SIZE)


def _functions(cl: Any) -> tuple[Any, Any]:
    """clEnqueueNDRangeKernel and clFinish. PyOpenCL's own launch keeps Python's lock, under which a standby could not even begin."""
    library = ctypes.CDLL(cl._cl.__file__)
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    enqueue, finish = library.clEnqueueNDRangeKernel, library.clFinish
    enqueue.argtypes = [pointer, pointer, number, pointer, pointer, pointer, number, pointer, pointer]
    finish.argtypes = [pointer]
    enqueue.restype = finish.restype = ctypes.c_int
    return enqueue, finish


def _processors() -> set[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@functools.cache
def _c_library() -> Any:
    return ctypes.CDLL(None)


def _this_processor() -> int:
    """The one that this thread is on, or -1 where the system does not say so."""
    return int(_c_library().sched_getcpu()) if hasattr(_c_library(), "sched_getcpu") else -1
