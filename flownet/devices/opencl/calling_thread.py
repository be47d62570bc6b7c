"""Launches of a small interpreted program in the thread that runs it, and in those that stand by.

Kernels get addresses as numbers, not buffers: on a processor that is the same, and OpenCL has no buffers to keep track of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.launches import Launches
from flownet.devices.opencl.standby import BELL, CLAIM, DONE, LINE, RUNS, SPAN, STATE, TABLE

__all__ = ["CallingThread"]

# how often a standby looks before it goes: for 0.1 ms on a Sapphire Rapids, up to 0.4 where a pause takes longer
_LOOKS = 8000


class CallingThread(Launches):
    """Without a second worker a launch is over when it returns, and nobody stands by."""

    space = "__global"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.number: int = self.built.number if self.built else self.crew.new_program()
        self._addresses = [
            np.array([array.ctypes.data for array in (*self.tables, *(region.host for region in regions))], np.uint64)
            for regions in self.sets
        ]

    @property
    def crew(self) -> Any:
        return self.runtime.crew

    def devices(self) -> Sequence[Any]:
        return self.crew.devices[: self.workers]

    def run_kernel(self) -> str:
        return _run_with_standbys() if self.workers > 1 else _run()

    def launcher(self, first: int, last: int, current: int) -> Callable[[], Any]:
        if self.workers > 1:
            return _Begin(self, first, last, current)
        kernel = self.kernel(self.table(current), first, last)
        launch = partial(self.runtime.cl.enqueue_nd_range_kernel, self.crew.queue, kernel, (1,), (1,))
        return partial(self.crew.run_alone, launch)

    def table(self, current: int) -> int:
        """The address of the table of addresses, on a set of inputs."""
        return int(self._addresses[current].ctypes.data)

    def kernel(self, table: int, first: int, last: int, *standbys: int) -> Any:
        """The kernel with these arguments; of `standbys` the first is the address of a line."""
        kernel = self.runtime.cl.Kernel(self.program, "run")
        lines = [np.uint64(standbys[0]), *map(np.int32, standbys[1:])] if standbys else []
        kernel.set_args(np.uint64(table), np.int32(first), np.int32(last), *lines)
        return kernel


class _Begin:
    """Begins a run with standbys; `Run` for their crew, and its own event."""

    def __init__(self, launches: CallingThread, first: int, last: int, current: int) -> None:
        self._launches = launches  # its tables and memory are looked at until the run is over
        self._crew = crew = launches.crew
        self.program, self.span, self.table = launches.number, first | last << 32, launches.table(current)
        count = launches.workers - 1
        self.ends = launches.kernel(self.table, first, last, crew.lines, self.program, count)
        lines = [crew.lines + 4 * LINE * (i + 1) for i in range(count)]
        self.stands = [launches.kernel(0, 1 + i, 0, line, self.program, 0) for i, line in enumerate(lines)]

    def __call__(self) -> _Begin:
        self._crew.begin(self)
        return self

    def wait(self) -> None:
        """Take part until it is done."""
        self._crew.finish(self)


_WORK = """
#define AT ((__global const ulong*)table)
#define COUNTERS ((volatile __global int*)AT[3])
#define WORK(me) work((__global float* __global const*)(AT + 4), (__global const int*)AT[0], (__global const int*)AT[1], \\
                  (__global const int*)AT[2], COUNTERS, first, last, me)
"""


def _run() -> str:
    return f"""{_WORK}
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void run(const ulong table, const int first, const int last) {{
WORK(0);
}}
"""


def _run_with_standbys() -> str:
    """One kernel for callers and standbys: each kernel is compiled with all functions."""
    return f"""{_WORK}
#if defined(__x86_64__)
#define PAUSE __builtin_ia32_pause()
#else
#define PAUSE
#endif

void stand_by(volatile __global uint* const w, const uint own, const int me) {{
for (;;) {{
w[{STATE}] = own;
for (int looks = {_LOOKS}; w[{BELL}] == w[{CLAIM}] && looks > 0; looks--) PAUSE;
const uint claimed = w[{CLAIM}], called = w[{BELL}];
if (called == claimed) {{
atomic_xchg(w + {STATE}, 0);
if (w[{BELL}] == w[{CLAIM}]) return;
}} else if (called >> {RUNS} != own) {{
w[{STATE}] = 0;
return;
}} else if (atomic_cmpxchg(w + {CLAIM}, claimed, called) == claimed) {{
const int first = w[{SPAN}], last = w[{SPAN} + 1];
const ulong table = *(volatile __global ulong*)(w + {TABLE});
WORK(me);
mem_fence(CLK_GLOBAL_MEM_FENCE);
w[{DONE}] = called;
}}
}}
}}

void end(const ulong table, const int first, const int last, volatile __global uint* const lines, const int standbys) {{
WORK(0);
const uint called = lines[{BELL}];
for (int i = 1; i <= standbys; i++) {{
volatile __global uint* const w = lines + i * {LINE};
const uint claimed = w[{CLAIM}];
if (claimed != called && atomic_cmpxchg(w + {CLAIM}, claimed, called) == claimed) w[{DONE}] = called;
while (w[{DONE}] != called) ;
}}
clear(COUNTERS, first, last);
}}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void run(const ulong table, const int first, const int last, const ulong lines, const int own, const int standbys) {{
if (standbys) end(table, first, last, (volatile __global uint*)lines, standbys);
else stand_by((volatile __global uint*)lines, own, first);
}}
"""
