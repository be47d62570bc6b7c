"""Threads that stand by: for a moment after a run they stay awake, for the next one.

A thread that sleeps takes 0.03 to 0.1 ms to wake and as long to be waited for, as long as an MLP takes to run. So do those
of PoCL's own pool. A thread that stands by looks at a word in memory instead, inside of a kernel, and is there at once.

PoCL's devices of the kind `basic` run a kernel in the thread that launches it, and the same binary serves all of them. The first is
for the threads that call; each of the others is a standby's own.

A run has a number, which the caller rings the standbys' bells with: it then goes on, and takes part when it needs the results. A standby
claims the number, works, and says when it is done. One that has not claimed it when the work is over has its claim made
for it, so that it comes too late. Nothing is wrong where nobody comes, only slower.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import platform
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

__all__ = ["BELL", "CLAIM", "DONE", "LINE", "RUNS", "SPAN", "STATE", "TABLE", "Crew", "Run", "crew_on", "launch"]

# A standby's ints, 64 bytes for those that callers write and 64 for its own: the number of the run that is called, first stage and last,
# address of the table (ulong); the number that was claimed last, the one that is done, and whose kernel it stands by in, 0 if none
LINE = 32
BELL, SPAN, TABLE, CLAIM, DONE, STATE = 0, 2, 4, 16, 17, 18
RUNS = 16  # bits of a run's number, below those of the program's


class Run(Protocol):
    """What a crew runs, kernels of one program: a standby is to be in each of `stands`, and `ends` does what is left and waits for them.

    program: the program's number
    span:    stages, first | last << 32
    table:   the address of the table of addresses
    """

    program: int
    span: int
    table: int
    stands: Sequence[Any]
    ends: Any


class Crew:
    """The threads on PoCL's `basic` devices, one crew in a process; one run is under way at a time.

    devices: that of the calling threads, then the standbys'
    lines:   the address of the standbys' lines; the bell in the first, which is nobody's, has the number of the last run
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        import pyopencl as cl

        # elsewhere a bell may be heard before it is seen what it rang for
        self.devices = list(devices if platform.machine() in ("x86_64", "AMD64") else devices[:1])
        self.context = cl.Context(self.devices)
        self.queue = cl.CommandQueue(self.context, self.devices[0])
        # held by who launches: a device of this kind runs what any thread has launched on it
        self._lock = threading.Lock()
        self._under_way: Run | None = None
        self._standbys: list[_Standby] = []
        # never freed: a standby may look until the process ends
        whole = np.zeros((len(self.devices) + 1) * LINE, np.uint32)
        self._memory = whole[-whole.ctypes.data % (4 * LINE) // 4 :][: len(self.devices) * LINE]
        self.lines = self._memory.ctypes.data
        self._ints, self._longs = memoryview(self._memory), memoryview(self._memory.view(np.uint64))
        self._programs, self._runs = itertools.count(), 0
        atexit.register(self._go)

    def new_program(self) -> int:
        """A number for a program: 1 to 32767. One that is given again is of a program that no standby is in any more."""
        return next(self._programs) % 0x7FFF + 1

    def run_alone(self, launch: Callable[[], Any]) -> None:
        """Run what a launch on the crew's queue is of, without standbys."""
        with self._lock:
            launch()
            self.queue.finish()

    def begin(self, run: Run) -> None:
        """Let standbys begin with a run. What was under way is finished first."""
        ints, longs = self._ints, self._longs
        with self._lock:
            if self._under_way is not None:
                self._end()
            self._under_way = run  # before bells ring: who is interrupted here leaves a run that can be ended
            self._runs = (self._runs + 1) & ((1 << RUNS) - 1)
            ints[BELL] = number = run.program << RUNS | self._runs
            at, away = 0, False
            for _ in run.stands:
                at += LINE
                longs[(at + SPAN) >> 1] = run.span
                longs[(at + TABLE) >> 1] = run.table
                ints[at + BELL] = number
                away |= ints[at + STATE] != run.program
            if away:
                self._wake(run)

    def finish(self, run: Run | None = None) -> None:
        """Take part in what is under way until it is done; only if it is this run, if one is given."""
        with self._lock:
            if self._under_way is not None and run in (None, self._under_way):
                self._end()

    def _end(self) -> None:
        run, self._under_way = self._under_way, None
        assert run is not None
        launch(self.queue, run.ends)

    def _wake(self, run: Run) -> None:
        import pyopencl as cl

        for device in self.devices[len(self._standbys) + 1 : len(run.stands) + 1]:
            self._standbys.append(_Standby(cl.CommandQueue(self.context, device)))
        others = _processors() - {_this_processor()}  # one on this thread's processor would only be waited for
        for i, standby, kernel in zip(range(len(others)), self._standbys, run.stands, strict=False):
            if self._ints[(i + 1) * LINE + STATE] != run.program:
                standby.wake(kernel, others)

    def _go(self) -> None:
        """End all standbys: threads that are in a kernel when Python ends would end the process with an error."""
        with self._lock:
            for i, standby in enumerate(self._standbys, 1):
                self._ints[i * LINE + BELL] = 0  # of no program
                standby.end()
            self._standbys, self.devices = [], self.devices[:1]


class _Standby:
    """A thread with a device of its own, which sleeps until it is told whose kernel to stand by in."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
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
                with contextlib.suppress(Exception):  # nobody comes then, and the caller works alone
                    launch(self._queue, kernel)
            del kernel  # a program's memory is not held by one who sleeps


@functools.cache
def crew_on(devices: tuple[Any, ...]) -> Crew:
    """The process's crew on these devices."""
    return Crew(devices)


def launch(queue: Any, kernel: Any) -> None:
    """Run a work-item of a kernel in this thread, and other Python threads beside it.

    PyOpenCL's own function keeps Python's lock, under which standbys could not even begin. PyOpenCL is asked only where there is an
    error, which it knows how to raise; never again for what has been launched, which may have been an update.
    """
    enqueue, finish = _functions()
    if enqueue(queue.int_ptr, kernel.int_ptr, 1, None, _ONE, _ONE, 0, None, None):
        import pyopencl as cl

        cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))
    if finish(queue.int_ptr):
        queue.finish()


_SIZE = (ctypes.c_size_t * 1)(1)
_ONE = ctypes.addressof(_SIZE)


@functools.cache
def _functions() -> tuple[Any, Any]:
    """clEnqueueNDRangeKernel and clFinish."""
    import pyopencl as cl

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
