"""Kernels of plugins tried in a process of their own.

A guard catches what reaches a little beyond a kernel's memory. What reaches far beyond it may end the process, which must not be the
user's: the one here is started anew, and the kernel that ended it is named. It serves one device for as long as this process lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np

from flownet.devices.opencl import other_process
from flownet.devices.opencl.other_process import OtherProcess
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError
from flownet.kernels import Template

__all__ = ["KernelProcess", "ProcessEnded", "serve"]

Arrays = Mapping[str, np.ndarray]


class ProcessEnded(Exception):
    """The process ended while it compiled or ran a kernel; the text says which of them, and by what."""


class KernelProcess:
    """Where kernels for a device are tried."""

    def __init__(self, device: str, target: Target) -> None:
        self._process = OtherProcess(__name__, (device, target))

    @classmethod
    def of(cls, device: Any) -> KernelProcess:
        """The one of an OpenCL device."""
        return _kept(device.found.id, device.target)

    def tried(self, op: Template, arrays: Arrays) -> tuple[str | None, tuple[np.ndarray, ...]]:
        """What is wrong with the kernel's memory, or None, and its outputs. Raises ProcessEnded; FlownetError as building it does."""
        plain = Template(**{each.name: getattr(op, each.name) for each in fields(Template) if each.name != "meaning"})
        doing = "compiles"
        try:
            self._process.send((plain, dict(arrays)))
            answer = self._process.receive()
            if answer == "built":
                doing = "runs"
                answer = self._process.receive()
        except other_process.ProcessEnded as end:
            raise ProcessEnded(f"ends the process that {doing} it: {end}") from None
        if isinstance(answer, FlownetError):
            if answer.diagnostics[0].code == "device-failed":  # nothing more runs in its context, perhaps
                self._process.close()
            raise answer
        return answer  # type: ignore[no-any-return]


@cache
def _kept(device: str, target: Target) -> KernelProcess:
    return KernelProcess(device, target)


def serve(connection: Any) -> None:
    """Try what comes, until nobody is there any more: what the process runs."""
    from flownet.devices.opencl.device import OpenCL
    from flownet.testing.guarded_kernel import GuardedKernel, kernel_fault

    name, target = connection.recv()
    device: Any = OpenCL(name)
    device.target = target
    while True:
        try:
            op, arrays = connection.recv()
        except EOFError:
            return
        try:
            with device.runtime.guarded(f"while it tried `{op.title}`"):
                kernel = GuardedKernel(device, op, arrays)
                connection.send("built")
                fault = kernel_fault(kernel)
                connection.send((fault, tuple(kernel.run(lambda name, part: 0).values())))
        except FlownetError as error:
            connection.send(error)
