"""Launches of an interpreted program on the device's own threads: a work-group for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.interpreter import ints_of
from flownet.devices.opencl.launches import Launches

__all__ = ["DeviceThreads"]


class DeviceThreads(Launches):
    """Launches go on behind the caller's back; regions and tables are buffers."""

    space = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._tables = [self.runtime.buffer_of(table) for table in self.tables]

    def run_kernel(self) -> str:
        return _run(len(self.sets[0]), self.workers)

    def launcher(self, first: int, last: int, current: int) -> Callable[[], Any]:
        cl = self.runtime.cl
        kernel = cl.Kernel(self.program, "run")
        numbers = [np.int32(n) for n in (first, last, self.stages)]
        kernel.set_args(*(region.buffer for region in self.sets[current]), *self._tables, *numbers)
        return partial(cl.enqueue_nd_range_kernel, self.runtime.queue, kernel, (self.workers,), (1,))


def _run(regions: int, workers: int) -> str:
    bases = ", ".join(f"b{i}" for i in range(regions))
    arguments = ", ".join(f"__global float* b{i}" for i in range(regions))
    # the last to leave sets the counters back, for the next launch
    leave = [
        f"if (atomic_inc(counters + all * {ints_of(workers)}) == {workers - 1}) {{",
        "clear(counters, first, last);",
        f"counters[all * {ints_of(workers)}] = 0;",
        "}",
    ]
    return "\n".join(
        [
            "__kernel __attribute__((reqd_work_group_size(1, 1, 1)))",
            f"void run({arguments}, __global const int* stages, __global const int* entries, __global const int* pointers,",
            "volatile __global int* counters, const int first, const int last, const int all) {",
            f"__global float* const bases[{regions}] = {{{bases}}};",
            "work(bases, stages, entries, pointers, counters, first, last, (int)get_group_id(0));",
            *(leave if workers > 1 else []),
            "}",
            "",
        ]
    )
