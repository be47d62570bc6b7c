"""Checks of the OpenCL C that an op's author wrote: its memory, and its work-items among each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flownet.devices.opencl.device import OpenCL
from flownet.graph import Graph, Kind
from flownet.kernels import Template
from flownet.passes.pipeline import run_passes
from flownet.testing.example import Example
from flownet.testing.kernel_process import KernelProcess, ProcessEnded
from flownet.testing.larger import larger_of_all
from flownet.testing.on_device import device_of
from flownet.testing.other_attributes import with_other_attributes
from flownet.testing.reference import as_graph
from flownet.testing.subject import Failure, Skip, Subject, counted

__all__ = ["kernel_memory"]


def kernel_memory(subject: Subject) -> str:
    """Each `Template` keeps to its memory, writes all of its outputs, and has work-items that never meet."""
    device = device_of(subject.device, subject.registry)
    if not isinstance(device, OpenCL):
        raise Skip(f"`{subject.device}` runs no OpenCL C")
    process = KernelProcess.of(device)
    titles: set[str] = set()

    def examine(example: Example) -> str | None:
        graph, feeds, _ = as_graph(example)
        lowered = run_passes(graph, device.target, device.passes)
        known = _given(lowered, feeds)
        with np.errstate(all="ignore"):
            for node in lowered.topological():
                arrays = {argument: np.ascontiguousarray(known[name]) for argument, name in node.inputs.items()}
                op = node.op
                if isinstance(op, Template):
                    titles.add(op.title)
                    try:
                        fault, made = process.tried(op, arrays)
                    except ProcessEnded as end:  # each smaller input would start another process
                        raise Failure(
                            f"the kernel `{op.title}` {end}\nit may reach far out of bounds", example
                        ) from None
                    if fault:
                        return f"the kernel `{op.title}` {fault}"
                known_to_numpy = not isinstance(op, Template) or op.meaning is not None
                results = op.run(arrays) if known_to_numpy else made
                known.update(zip(node.outputs, results, strict=True))
        return None

    examples = subject.variants()
    subject.go_over(examples[:1], examine, most_tries=40)
    if not titles:  # what it is built of are flownet's own kernels
        raise Skip("the op brings no OpenCL C of its own")
    given = subject.examples()
    examples += [*with_other_attributes(given), *larger_of_all(given, 8)]
    found = subject.go_over(examples, examine, most_tries=40)
    return f"{counted(len(titles), 'kernel')}, {found}: bounds, and work-items one half at a time"


def _given(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values that no node makes."""
    starts = {v.name: np.asarray(v.initial) for v in graph.values.values() if v.kind in (Kind.CONSTANT, Kind.PARAMETER)}
    return {**starts, **feeds}
