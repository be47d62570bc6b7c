"""A whole program as one kernel: functions, and a table that says in which order and over which memory they run.

Why: a launch costs 2 to 4 microseconds, and a dependent one must wait until the other cores' threads have been woken, which takes longer than
many kernels run. Instead a worker a core runs all stages; workers take work-groups off counters, and wait on another one until a stage is
done. Each begins with its own part of every stage, so that it often finds in its cache what it wrote there in the stage before (LeNet-5's
inference in 0.47 instead of 0.56 ms, CNN's in 5.2 instead of 5.4), and then takes what is left of the others'. This always ends,
however many workers there are and whenever they come: a worker waits only for work-groups that another one has taken, which
finishes them without waiting for anybody. And a table costs nothing to compile: ResNet-110's training step has some 1,500
launches, but few different functions.

Who the workers are is another matter: the device's own threads (`device_threads`), or the calling thread and those that stand
by it (`calling_thread`). Each adds the kernel that is launched.

Tables (int): stages (first entry, shares of work, work-groups of a share); entries (end and begin within the stage, function, two sizes of
the grid, the two extra numbers of a flat kernel, first pointer); pointers (region, offset in floats).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flownet.devices.opencl.faults import Part, parts_of
from flownet.devices.opencl.kernels.elementwise import FlatKernel
from flownet.devices.opencl.kernels.kernel import Kernel, product
from flownet.devices.opencl.schedule import Stage
from flownet.graph import Node

__all__ = ["Interpreter", "Place", "counters", "ints_of"]

_LINE = 16  # ints of a cache line: counters have one each
_MOST_PARTS = 8  # of a stage; more would be looked through for longer than it pays
_ENTRY = 8

Place = tuple[int, int]  # region, offset in floats


def ints_of(workers: int) -> int:
    """How many ints a stage's counters take: what is done, and what was taken of each part."""
    return (1 + _parts(workers)) * _LINE


def counters(stages: int, workers: int) -> np.ndarray:
    """Counters of that many stages, and one more at the end, all 0."""
    return np.zeros(stages * ints_of(workers) + _LINE, np.int32)


def _parts(workers: int) -> int:
    return min(workers, _MOST_PARTS)


@dataclass
class Interpreter:
    """The source of a program's functions, and its tables.

    `work` runs stages, for one of the workers: pointers to the regions, stages, entries, pointers, counters (int), the first stage
    and the one behind the last, the worker's number. `clear` sets their counters back. `parts` says which lines compute which nodes.
    """

    source: str
    stages: np.ndarray
    entries: np.ndarray
    pointers: np.ndarray
    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, stages: Sequence[Stage], places: Mapping[str, Place], space: str, workers: int) -> Interpreter:
        """The program of device stages; host stages get empty rows.

        space: address space of the array of pointers to the regions
        """
        functions: dict[tuple, int] = {}
        nodes: list[list[Node]] = []
        texts: list[str] = []
        cases: list[str] = []
        preambles: dict[str, None] = {}
        for launch in (launch for stage in stages for launch in stage.launches):
            if launch.kernel is None:
                continue
            if (key := _key(launch.kernel)) not in functions:
                functions[key] = len(functions)
                nodes.append([])
                preambles.update(dict.fromkeys(launch.kernel.preamble))
                texts.append(_function(launch.kernel, functions[key]))
                cases.append(_case(launch.kernel, functions[key]))
            nodes[functions[key]].append(launch.node)
        stage_rows, entry_rows, pointer_rows = [], [], []
        for stage in stages:
            first, total = len(entry_rows), 0
            # long work-groups first: what is left at the end is short, so that nobody waits for long
            launches = [] if stage.on_host else list(stage.launches)
            if not stage.in_turn:
                launches.sort(key=lambda launch: -_weight(launch.kernel))
            for launch in launches:
                kernel: Kernel = launch.kernel  # type: ignore[assignment]
                count = product(kernel.grid)
                x, y, _ = kernel.grid
                numbers = (0, 0, kernel.piece, kernel.count) if isinstance(kernel, FlatKernel) else (x, y, 0, 0)
                entry_rows.append((total + count, total, functions[_key(kernel)], *numbers, len(pointer_rows)))
                total += count
                pointer_rows += [places[launch.buffers[a.name]] for a in kernel.arguments]
            stage_rows.append((first, 1, total) if stage.in_turn else (first, total, 1))
        parts = [*preambles, *texts, _work(cases, space, workers)]
        return cls(
            "\n".join(parts) + "\n",
            np.array(stage_rows or [(0, 0, 0)], np.int32),
            np.array(entry_rows or [(0,) * _ENTRY], np.int32),
            np.array(pointer_rows or [(0, 0)], np.int32),
            parts_of(tuple(preambles), zip(texts, nodes, strict=True)),
        )


def _key(kernel: Kernel) -> tuple:
    """What tells one function from another."""
    return kernel.body, _unsized(kernel) if isinstance(kernel, FlatKernel) else kernel.arguments, kernel.attributes


def _weight(kernel: Kernel | None) -> float:
    assert kernel is not None
    return (kernel.flops + 8 * kernel.bytes) / max(product(kernel.grid), 1)


def _unsized(kernel: FlatKernel) -> tuple:
    """A flat kernel's arguments without their sizes: one function serves every length."""
    return tuple((a.name, a.access, a.ctype, type(a)) for a in kernel.arguments)


def _function(kernel: Kernel, number: int) -> str:
    arguments = ", ".join(
        [a.declaration() for a in kernel.arguments] + ["const int g0", "const int g1", "const int g2"]
    )
    attributes = kernel.attributes or "__attribute__((noinline))"
    return "\n".join(
        [f"// {kernel.name}: {kernel.variant}", f"{attributes} void f{number}({arguments}) {{", *kernel.body, "}"]
    )


def _case(kernel: Kernel, number: int) -> str:
    pointers = [
        f"({'__global const' if a.access == 'in' else '__global'} {a.ctype}*)P({i})"
        for i, a in enumerate(kernel.arguments)
    ]
    return f"case {number}: f{number}({', '.join([*pointers, 'g0', 'g1', 'g2'])}); break;"


def _work(cases: Sequence[str], space: str, workers: int) -> str:
    task = [
        f"__global const int* const e = entries + at * {_ENTRY};",
        "const int t = n - e[1], x = e[3], y = e[4];",
        "const int g0 = x ? t % x : t, g1 = x ? t / x % y : e[5], g2 = x ? t / x / y : e[6];",
        "__global const int* const q = pointers + 2 * e[7];",
        "switch (e[2]) {",
        *cases,
        "}",
    ]
    parts, ints = _parts(workers), ints_of(workers)
    if workers > 1:
        loop = [
            f"volatile __global int* const c = counters + s * {ints};",
            "int done = 0;",
            f"for (int p = 0; p < {parts}; p++) {{",
            f"const int part = (me + p) % {parts}, end = (total * (part + 1) + {parts - 1}) / {parts};",
            f"const int begin = (total * part + {parts - 1}) / {parts};",
            "int at = stages[3 * s];",
            "for (;;) {",
            f"const int i = begin + atomic_inc(c + {_LINE} * (part + 1));",
            "if (i >= end) break;",
            "for (int n = i * share; n < (i + 1) * share; n++) {",
            f"while (n >= entries[at * {_ENTRY}]) at++;",
            *task,
            "}",
            "done++;",
            "}",
            "}",
            "mem_fence(CLK_GLOBAL_MEM_FENCE);",
            "atomic_add(c, done);",
            "while (c[0] < total) ;",
            "mem_fence(CLK_GLOBAL_MEM_FENCE);",
        ]
    else:
        loop = [
            "int at = stages[3 * s];",
            "for (int n = 0; n < total * share; n++) {",
            f"while (n >= entries[at * {_ENTRY}]) at++;",
            *task,
            "}",
        ]
    return "\n".join(
        [
            "#define P(k) (bases[q[2 * (k)]] + q[2 * (k) + 1])",
            f"__attribute__((noinline)) void work(__global float* {space} const* bases, __global const int* stages,",
            "__global const int* entries, __global const int* pointers, volatile __global int* counters,",
            "const int first, const int last, const int me) {",
            "for (int s = first; s < last; s++) {",
            "const int total = stages[3 * s + 1], share = stages[3 * s + 2];",
            *loop,
            "}",
            "}",
            "void clear(volatile __global int* counters, const int first, const int last) {",
            f"for (int i = first * {ints}; i < last * {ints}; i += {_LINE}) counters[i] = 0;",
            "}",
        ]
    )
