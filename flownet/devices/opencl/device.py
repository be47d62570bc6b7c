"""The OpenCL device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flownet.devices.device import Device, Storage
from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.memory import OpenCLStorage, Pool
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.program import OpenCLProgram
from flownet.devices.opencl.runtime import Runtime
from flownet.graph import Graph
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.types import TensorType

__all__ = ["OpenCL"]


class OpenCL(Device):
    """Generated kernels on an OpenCL device.

    fallback: what happens to an op without kernels: "cpu" (NumPy computes it), "warn" (the same, and says so), "error"
    kernels:  lowerings by op name; those of the process's registry unless given
    """

    name = "opencl"

    def __init__(self, name: str = "opencl", *, fallback: str = "warn", kernels: Mapping[str, Any] | None = None) -> None:
        self.found = find(name)
        self.runtime = Runtime(self.found)
        self.pool = Pool(self.runtime)
        self.target = self.runtime.target
        self.fallback = fallback
        self.passes = opencl_pipeline(fallback, kernels)
        self.reason = ""

    @property
    def description(self) -> str:
        return self.found.describe()

    def choose(self, problem: Convolution, direction: str) -> Choice:
        """The kernel for a convolution: what tuning found, else what the model of costs says."""
        return candidates(problem, direction, self.target)[0]

    def storage(self, type: TensorType) -> OpenCLStorage:
        return OpenCLStorage(self.pool, type)

    def load(self, graph: Graph, storages: Mapping[str, Storage]) -> OpenCLProgram:
        program: Any = OpenCLProgram(self, graph, storages)  # type: ignore[arg-type]
        return program
