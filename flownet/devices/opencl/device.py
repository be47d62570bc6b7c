"""The OpenCL device."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from flownet.devices.device import Device, Storage
from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.kernels.elementwise import Shared
from flownet.devices.opencl.kernels.kernel import Kernel, preamble
from flownet.devices.opencl.memory import OpenCLStorage, Pool
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.program import OpenCLProgram
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.tuning import Tuning
from flownet.errors import Diagnostic, DiagnosticWarning, FlownetError
from flownet.graph import Graph
from flownet.passes.lower import is_empty
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.types import TensorType

__all__ = ["OpenCL"]


class OpenCL(Device):
    """Generated kernels on an OpenCL device.

    fallback:     what happens to an op without kernels: "cpu" (NumPy computes it), "warn" (the same, and says so), "error"
    kernels:      lowerings by op name; those of the process's registry unless given
    memory_limit: bytes that a plan's values should not exceed, where computing some again avoids it; what the device gives at
                  once unless given
    """

    name = "opencl"
    decisions = ("set_up_first", "update_in_place", "plan_memory", "calling_thread")

    def __init__(
        self, name: str = "opencl", *, fallback: str = "warn", kernels: Mapping[str, Any] | None = None,
        memory_limit: int | None = None,
    ) -> None:  # fmt: skip
        self.found = find(name)
        self.runtime = Runtime(self.found)
        self.pool = Pool(self.runtime)
        self.target = self.runtime.target
        if self.runtime.notes:
            _tell_of_narrower_kernels(self.runtime)
        self.fallback = fallback
        self.tuning = Tuning(self.runtime)
        self.convolutions: dict[
            tuple[Convolution, str], Choice | None
        ] = {}  # what was asked for: `bench --tune` measures these
        limit = self.runtime.largest_buffer if memory_limit is None else memory_limit
        self.passes = opencl_pipeline(fallback, kernels, limit, lambda graph: OpenCLProgram.arena_bytes(self, graph))
        self.reason = ""

    @property
    def description(self) -> str:
        return self.found.describe()

    def choose(self, problem: Convolution, direction: str) -> Choice | None:
        """The kernel for a convolution: what tuning found, else what the model of costs says; None where all are set aside, or
        where there is none: an image's row is more than a work-group can hold."""
        key = problem, direction
        if key not in self.convolutions:
            if not candidates(problem, direction, self.target):
                _tell_of_too_wide_an_image(problem, self.fallback)
            self.convolutions[key] = self.tuning.choose(problem, direction)
        return self.convolutions[key]

    def storage(self, type: TensorType) -> OpenCLStorage:
        return OpenCLStorage(self.pool, type)

    def load(self, graph: Graph, storages: Mapping[str, Storage], without: Collection[str] = ()) -> OpenCLProgram:
        if self.fallback == "warn":
            _tell_of_the_hosts_nodes(graph)
        with self.runtime.guarded("while a plan was made"):
            program: Any = OpenCLProgram(self, graph, storages, without)  # type: ignore[arg-type]
        return program

    def peak_gflops(self) -> float:
        """The rate of multiply-adds that touch no memory, measured: what kernels are held against."""
        with self.runtime.guarded("while its peak was measured"):
            return self._peak_gflops()

    def _peak_gflops(self) -> float:
        cl, runtime = self.runtime.cl, self.runtime
        gpu = self.target.kind == "gpu"  # many work-items of one float each; else few of one vector
        v, items, chains, steps = (1, 256, 8, 4000) if gpu else (self.target.vector, 1, 12, 100000)
        kind = "float" if gpu else "vec"
        at = f"y + {v} * (g0 * {items} + (int)get_local_id(0))" if gpu else f"y + {v} * g0"
        sums = [f"c{i}" for i in range(chains)]
        body = [f"const {kind} a = *(__global {kind}{'' if gpu else 'u'}*)y;"]
        body += [f"{kind} {c} = a + {i}.0f;" for i, c in enumerate(sums)]
        body += [f"for (int k = 0; k < {steps}; k++) {{", *(f"{c} = {c} * a + a;" for c in sums), "}"]
        body.append(f"*(__global {kind}{'' if gpu else 'u'}*)({at}) = {' + '.join(sums)};")
        groups = (32 if gpu else 8) * self.target.units
        floats = v * items * groups
        kernel = Kernel(
            "fma_peak", tuple(body), (Shared("y", "inout", floats),), (groups, 1, 1), (preamble(self.target),) if not gpu else (),
            local=(items, 1, 1), attributes=self.target.attributes,
        )  # fmt: skip
        built = cl.Kernel(runtime.build(kernel.source(), "the measurement of the peak"), kernel.name)
        buffer = runtime.buffer_of(np.full(floats, 0.5, np.float32))
        built.set_args(buffer)
        best = float("inf")
        for _ in range(10):  # the first ones find threads asleep and clocks low
            start = time.perf_counter()
            cl.enqueue_nd_range_kernel(runtime.queue, built, kernel.global_size(), kernel.local)
            runtime.queue.finish()
            best = min(best, time.perf_counter() - start)
        return 2 * floats * chains * steps / best / 1e9


def _tell_of_narrower_kernels(runtime: Runtime) -> None:
    found = Diagnostic(
        "kernel-set-aside", f"{runtime.notes[0]}; those of {runtime.target.vector} floats are taken",
        notes=(f"found by the self-test of `{runtime.found.describe()}`",), help="update its driver", severity="warning",
    )  # fmt: skip
    warnings.warn(DiagnosticWarning(found), stacklevel=4)


def _tell_of_too_wide_an_image(problem: Convolution, fallback: str) -> None:
    """A warning, or an error where NumPy may not compute what the device cannot."""
    p = problem
    size = f"{p.channels} channels of {p.height}x{p.width} to {p.filters} of {p.output[0]}x{p.output[1]}"
    what = f"a convolution of {size}: one row of its image is more than a work-group's memory holds"
    if fallback == "error":
        raise FlownetError.of(
            "no-kernel", f"the device has no kernel for {what}", help="`--fallback warn` lets NumPy compute it"
        )
    if fallback == "warn":
        found = Diagnostic(
            "no-kernel", f"NumPy computes, between launches, {what}", severity="warning",
            help="`--fallback cpu` says nothing of it, `--fallback error` refuses it",
        )  # fmt: skip
        warnings.warn(DiagnosticWarning(found), stacklevel=4)


def _tell_of_the_hosts_nodes(graph: Graph) -> None:
    """One warning for each reason why nodes run in NumPy though nobody asked for it, and there is something to compute."""
    reasons: dict[str, list] = {}
    for node in graph.nodes.values():
        if node.device == "cpu" and node.reason and not is_empty(graph, node):
            reasons.setdefault(node.reason, []).append(node)
    for reason, nodes in reasons.items():
        what = f"the node `{nodes[0].name}` runs" if len(nodes) == 1 else f"{len(nodes)} nodes run"
        found = Diagnostic(
            "no-kernel", f"{what} in NumPy, between launches: {reason}", nodes[0].origin.span,
            help="`--fallback cpu` says nothing of it, `--fallback error` refuses it; `flownet plan` shows the places", severity="warning",
        )  # fmt: skip
        warnings.warn(DiagnosticWarning(found), stacklevel=3)
