"""A launch for each kernel: what a GPU wants, whose queue keeps it busy from launch to launch.

All kernels of a program are one source, which is built once. Arguments are (buffer, offset) pairs, so that everything may lie in one arena
without sub-buffers and their alignment. Arguments are set once; kernels with the same text share their code, not their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.emit import Launch
from flownet.devices.opencl.faults import parts_of
from flownet.devices.opencl.kernels.elementwise import FlatKernel
from flownet.devices.opencl.kernels.kernel import Kernel
from flownet.graph import Node

__all__ = ["SeparateLaunches"]


class SeparateLaunches:
    """The built kernels of a program's launches; `options` for the compiler, those of the device unless given."""

    def __init__(self, runtime: Any, launches: Sequence[Launch], what: str, options: str | None = None) -> None:
        self.runtime = runtime
        self.names: dict[tuple, str] = {}
        preambles: dict[str, None] = {}
        texts: dict[str, str] = {}
        nodes: dict[str, list[Node]] = {}
        for launch in launches:
            kernel = launch.kernel
            if kernel is None:
                continue
            name = self.names.setdefault(_key(kernel), f"k{len(self.names)}")
            nodes.setdefault(name, []).append(launch.node)
            if name not in texts:
                preambles.update(dict.fromkeys(kernel.preamble))
                texts[name] = _entry(kernel, name)
        self.source = "\n".join([*preambles, *texts.values()]) + "\n"
        parts = parts_of(tuple(preambles), ((text, nodes[name]) for name, text in texts.items()))
        self.program = runtime.build(self.source, what, options, parts=parts) if texts else None

    def launcher(
        self, launch: Launch, places: Mapping[str, tuple[int, int]], buffers: Sequence[Any]
    ) -> Callable[[], Any]:
        """A function that launches the kernel."""
        cl = self.runtime.cl
        kernel = launch.kernel
        assert kernel is not None
        built = cl.Kernel(self.program, self.names[_key(kernel)])
        arguments: list[Any] = []
        for argument in kernel.arguments:
            region, offset = places[launch.buffers[argument.name]]
            arguments += [buffers[region], np.int64(offset)]
        if isinstance(kernel, FlatKernel):
            arguments += [np.int32(kernel.piece), np.int32(kernel.count)]
        built.set_args(*arguments)
        return partial(cl.enqueue_nd_range_kernel, self.runtime.queue, built, kernel.global_size(), kernel.local)


def _key(kernel: Kernel) -> tuple:
    return kernel.body, tuple(a.declaration() for a in kernel.arguments), kernel.local


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
