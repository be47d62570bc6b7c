"""A launch for each kernel: what a GPU wants, whose queue keeps it busy from launch to launch.

The kernels are shared out over several sources of like length, which are built at the same time. How many depends on their text alone: on
another number of cores, the binaries of the last start are found all the same. Kernels with the same text share their code, not their
arguments, and a source holds no function that another kernel brought under the same name.

Arguments are (buffer, offset) pairs, so that everything may lie in one arena without sub-buffers and their alignment; they are set once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.emit import Launch
from flownet.devices.opencl.faults import Part, parts_of
from flownet.devices.opencl.kernels.elementwise import FlatKernel
from flownet.devices.opencl.kernels.kernel import Kernel, ceil_div
from flownet.graph import Node

__all__ = ["SeparateLaunches", "shared_out"]

_LENGTH = 16 << 10  # characters of a source that are worth a program of their own


class SeparateLaunches:
    """The built kernels of a program's launches; `options` for the compiler, those of the device unless given."""

    def __init__(self, runtime: Any, launches: Sequence[Launch], what: str, options: str | None = None) -> None:
        self.runtime = runtime
        kernels: dict[tuple, Kernel] = {}
        nodes: dict[tuple, list[Node]] = {}
        for launch in launches:
            if launch.kernel is not None:
                key = _key(launch.kernel)
                kernels.setdefault(key, launch.kernel)
                nodes.setdefault(key, []).append(launch.node)
        sources: list[tuple[str, tuple[Part, ...]]] = []
        self.program_of: dict[tuple, tuple[int, str]] = {}  # which program has a kernel, under which name
        for group in shared_out(list(kernels.values())):
            preambles = dict.fromkeys(text for kernel in group for text in kernel.preamble)
            keys = [_key(kernel) for kernel in group]
            self.program_of |= {key: (len(sources), f"k{i}") for i, key in enumerate(keys)}
            entries = [_entry(kernel, f"k{i}") for i, kernel in enumerate(group)]
            parts = parts_of(tuple(preambles), zip(entries, (nodes[key] for key in keys), strict=True))
            sources.append(("\n".join([*preambles, *entries]) + "\n", parts))
        self.programs = runtime.build_all(sources, what, options)

    def launcher(
        self, launch: Launch, places: Mapping[str, tuple[int, int]], buffers: Sequence[Any]
    ) -> Callable[[], Any]:
        """A function that launches the kernel."""
        cl = self.runtime.cl
        kernel = launch.kernel
        assert kernel is not None
        program, name = self.program_of[_key(kernel)]
        built = cl.Kernel(self.programs[program], name)
        arguments: list[Any] = []
        for argument in kernel.arguments:
            region, offset = places[launch.buffers[argument.name]]
            arguments += [buffers[region], np.int64(offset)]
        if isinstance(kernel, FlatKernel):
            arguments += [np.int32(kernel.piece), np.int32(kernel.count)]
        built.set_args(*arguments)
        return partial(cl.enqueue_nd_range_kernel, self.runtime.queue, built, kernel.global_size(), kernel.local)


def shared_out(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """Groups of like length, each in the order of the kernels. Kernels in one group bring the same functions, if any.

    The longest first, each to the group that has the least.
    """
    lengths = {id(kernel): sum(map(len, (*kernel.body, *kernel.preamble))) for kernel in kernels}
    alike: dict[tuple[str, ...], list[Kernel]] = {}
    for kernel in kernels:
        alike.setdefault(kernel.preamble, []).append(kernel)
    groups = []
    for members in alike.values():
        count = min(len(members), ceil_div(sum(lengths[id(kernel)] for kernel in members), _LENGTH))
        loads, chosen = [0] * count, {}
        for kernel in sorted(members, key=lambda kernel: -lengths[id(kernel)]):
            least = loads.index(min(loads))
            chosen[id(kernel)] = least
            loads[least] += lengths[id(kernel)]
        groups += [[kernel for kernel in members if chosen[id(kernel)] == number] for number in range(count)]
    return groups


def _key(kernel: Kernel) -> tuple:
    return kernel.preamble, kernel.body, tuple(a.declaration() for a in kernel.arguments), kernel.local


def _entry(kernel: Kernel, name: str) -> str:
    """The kernel with offsets beside its pointers."""
    parameters = [f"__global float* {a.name}_base, const long {a.name}_offset" for a in kernel.arguments]
    lines = [
        f"{a.declaration().replace('restrict ', '')} = (__global {'const ' if a.access == 'in' else ''}{a.ctype}*)"
        f"({a.name}_base + {a.name}_offset);"
        for a in kernel.arguments
    ]
    numbers = [f"const int g{i} = (int)get_group_id({i});" for i in range(3)]
    if isinstance(kernel, FlatKernel):
        parameters += ["const int piece", "const int count"]
        numbers = ["const int g0 = (int)get_group_id(0), g1 = piece, g2 = count;"]
    x, y, z = kernel.local
    return "\n".join(
        [
            f"// {kernel.name}: {kernel.variant}",
            f"__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))",
            f"void {name}({', '.join(parameters)}) {{",
            *lines,
            *numbers,
            *kernel.body,
            "}",
        ]
    )
