"""Launches of a small interpreted program in the thread that runs it, and in those that stand by.

Kernels get addresses as numbers, not buffers: on a processor that is the same, and OpenCL has no buffers to keep track of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.interpreter import Interpreter, Place, counters
from flownet.devices.opencl.memory import Region
from flownet.devices.opencl.schedule import Stage
from flownet.devices.opencl.standby import AT_WORK, AWAY, CALLED, LINE, READY

__all__ = ["CallingThread"]

_LOOKS = (
    8000  # how often a standby looks before it goes: 0.1 ms on a Sapphire Rapids, up to 0.4 where a pause takes longer
)


class CallingThread:
    """The program of these stages, built. The arguments are those of `DeviceThreads`; without a second worker nobody stands by.

    Raises FlownetError (`kernel-build`).
    """

    def __init__(
        self, runtime: Any, stages: Sequence[Stage], places: Mapping[str, Place], sets: Sequence[Sequence[Region]],
        workers: int, what: str, built: CallingThread | None = None,
    ) -> None:  # fmt: skip
        self.runtime, self.places, self.sets, self.workers, self.what = runtime, places, sets, workers, what
        self.crew = runtime.crew
        table = Interpreter.of(stages, places, "__global", workers > 1)
        self.source = table.source + (_run_with_standbys() if workers > 1 else _run())
        if built is None:
            self.program = runtime.build(self.source, what, parts=table.parts, crew=self.crew.devices[:workers])
            self._number = self.crew.new_program()
        else:
            assert built.source == self.source, "another order of launches gave another program"
            self.program, self._number = built.program, built._number
        self._tables = [table.stages, table.entries, table.pointers, counters(len(stages))]
        self._addresses = [
            np.array([array.ctypes.data for array in (*self._tables, *(region.host for region in regions))], np.uint64)
            for regions in sets
        ]

    def launcher(self, first: int, last: int, current: int) -> Callable[[], Any]:
        """A function that runs stages `first` up to `last` on a set of inputs, arguments set once."""
        cl, crew = self.runtime.cl, self.crew
        span = self._addresses[current].ctypes.data, np.int32(first), np.int32(last)
        if self.workers == 1:
            kernel = self._kernel(np.uint64(span[0]), *span[1:])
            return partial(self._run_alone, partial(cl.enqueue_nd_range_kernel, crew.queue, kernel, (1,), (1,)))
        standbys = self.workers - 1
        own, words = np.int32(self._number), np.uint64(crew.words)
        leads = self._kernel(np.uint64(span[0]), *span[1:], words, own, np.int32(standbys))
        stands = [
            self._kernel(np.uint64(0), np.int32(0), np.int32(0), np.uint64(crew.words + 4 * LINE * i), own, np.int32(0))
            for i in range(1, standbys + 1)
        ]
        return partial(self._run, leads, stands, self._number | READY)

    def _kernel(self, *arguments: Any) -> Any:
        kernel = self.runtime.cl.Kernel(self.program, "run")
        kernel.set_args(*arguments)
        return kernel

    def _run_alone(self, launch: Callable[[], Any]) -> None:
        with self.crew.lock:
            launch()
            self.crew.queue.finish()

    def _run(self, leads: Any, stands: Sequence[Any], ready: int) -> None:
        crew = self.crew
        with crew.lock:
            crew.call(ready, stands)
            if crew.launch(crew.queue, leads):  # once more, by who knows what the status means
                self.runtime.cl.enqueue_nd_range_kernel(crew.queue, leads, (1,), (1,))
                crew.queue.finish()

    def over(self, stages: Sequence[Stage]) -> CallingThread:
        """The same launches in other stages."""
        return CallingThread(self.runtime, stages, self.places, self.sets, self.workers, self.what, self)


_WORK = """
#define TABLE ((__global const ulong*)table)
#define COUNTERS ((volatile __global int*)TABLE[3])
#define WORK work((__global float* __global const*)(TABLE + 4), (__global const int*)TABLE[0], (__global const int*)TABLE[1], \\
                  (__global const int*)TABLE[2], COUNTERS, first, last)
"""


def _run() -> str:
    return f"""{_WORK}
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void run(const ulong table, const int first, const int last) {{
WORK;
}}
"""


def _run_with_standbys() -> str:
    return f"""{_WORK}
#define LINE(i) ((volatile __global int*)words + {LINE} * (i))
#define SPAN(w) ((volatile __global ulong*)((w) + 4))
#if defined(__x86_64__)
#define PAUSE __builtin_ia32_pause()
#else
#define PAUSE
#endif

void stand_by(volatile __global int* const w, const int own) {{
for (;;) {{
for (int looks = {_LOOKS}; w[0] == (own | {READY}) && looks > 0; looks--) PAUSE;
if (atomic_cmpxchg(w, own | {CALLED}, own | {AT_WORK}) == (own | {CALLED})) {{
const int first = w[1], last = w[2];
const ulong table = SPAN(w)[0];
WORK;
mem_fence(CLK_GLOBAL_MEM_FENCE);
atomic_xchg(w, own | {READY});
}} else if (atomic_cmpxchg(w, own | {READY}, {AWAY}) != (own | {CALLED})) return;
}}
}}

void lead(const ulong table, const int first, const int last, const ulong words, const int own, const int standbys) {{
for (int i = 1; i <= standbys; i++) {{
volatile __global int* const w = LINE(i);
w[1] = first; w[2] = last; SPAN(w)[0] = table;
mem_fence(CLK_GLOBAL_MEM_FENCE);
atomic_cmpxchg(w, own | {READY}, own | {CALLED});
}}
WORK;
for (int i = 1; i <= standbys; i++) {{
volatile __global int* const w = LINE(i);
if (atomic_cmpxchg(w, own | {CALLED}, own | {READY}) == (own | {AT_WORK})) while (w[0] == (own | {AT_WORK})) ;
}}
clear(COUNTERS, first, last);
}}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void run(const ulong table, const int first, const int last, const ulong words, const int own, const int standbys) {{
if (standbys) lead(table, first, last, words, own, standbys);
else stand_by(LINE(0), own);
}}
"""
