"""Launches of an interpreted program on the device's own threads: a work-group for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.interpreter import Interpreter, Place, counters, ints_of
from flownet.devices.opencl.memory import Region
from flownet.devices.opencl.schedule import Stage

__all__ = ["DeviceThreads"]


class DeviceThreads:
    """The program of these stages, built.

    sets:    the regions that places are counted in, once for each set of inputs
    workers: how many threads share the work of a launch
    what:    what it is, to whom it does not compile
    built:   a program of the same functions, which other stages have been built to

    Raises FlownetError (`kernel-build`).
    """

    def __init__(
        self, runtime: Any, stages: Sequence[Stage], places: Mapping[str, Place], sets: Sequence[Sequence[Region]],
        workers: int, what: str, built: DeviceThreads | None = None,
    ) -> None:  # fmt: skip
        self.runtime, self.places, self.sets, self.workers, self.what = runtime, places, sets, workers, what
        self._stages = len(stages)
        table = Interpreter.of(stages, places, "", workers)
        self.source = table.source + _run(len(sets[0]), workers)
        if built is None:
            self.program = runtime.build(self.source, what, parts=table.parts)
        else:
            assert built.source == self.source, "another order of launches gave another program"
            self.program = built.program
        self._tables = [
            runtime.buffer_of(t) for t in (table.stages, table.entries, table.pointers, counters(len(stages), workers))
        ]

    def launcher(self, first: int, last: int, current: int) -> Callable[[], Any]:
        """A function that launches stages `first` up to `last` on a set of inputs, arguments set once; it returns the event."""
        cl = self.runtime.cl
        kernel = cl.Kernel(self.program, "run")
        numbers = [np.int32(n) for n in (first, last, self._stages)]
        kernel.set_args(*(region.buffer for region in self.sets[current]), *self._tables, *numbers)
        return partial(cl.enqueue_nd_range_kernel, self.runtime.queue, kernel, (self.workers,), (1,))

    def over(self, stages: Sequence[Stage]) -> DeviceThreads:
        """The same launches in other stages."""
        return DeviceThreads(self.runtime, stages, self.places, self.sets, self.workers, self.what, self)


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
