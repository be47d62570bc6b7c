"""Kernels of plugins tried in a process of their own.

A guard catches what reaches a little beyond a kernel's memory. What reaches far beyond it may end the process, which must not be the
user's: the one here is started anew, and the kernel that ended it is named. It serves one device for as long as this process lives.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

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
        self.device, self.target = device, target
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None

    @classmethod
    def of(cls, device: Any) -> KernelProcess:
        """The one of an OpenCL device."""
        return _kept(device.found.id, device.target)

    def tried(self, op: Template, arrays: Arrays) -> tuple[str | None, tuple[np.ndarray, ...]]:
        """What is wrong with the kernel's memory, or None, and its outputs. Raises ProcessEnded; FlownetError as building it does."""
        if self._process is None:
            self._start()
        plain = Template(**{each.name: getattr(op, each.name) for each in fields(Template) if each.name != "meaning"})
        doing = "compiles"
        try:
            self._connection.send((plain, dict(arrays)))
            answer = self._connection.recv()
            if answer == "built":
                doing = "runs"
                answer = self._connection.recv()
        except (EOFError, OSError):
            raise self._ended(doing) from None
        if isinstance(answer, FlownetError):
            if answer.diagnostics[0].code == "device-failed":  # nothing more runs in its context, perhaps
                self._connection.close()
                self._process = None
            raise answer
        return answer  # type: ignore[no-any-return]

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        folder = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        code = f"from {__name__} import serve; serve({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": path}
        )
        theirs.close()  # it ends when ours is closed, and ours when it ends
        self._connection.send((self.device, self.target))

    def _ended(self, doing: str) -> ProcessEnded:
        assert self._process is not None
        status = self._process.wait()
        self._process = None
        by = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return ProcessEnded(f"ends the process that {doing} it: {by}")


@cache
def _kept(device: str, target: Target) -> KernelProcess:
    return KernelProcess(device, target)


def serve(descriptor: int) -> None:
    """Try what comes, until nobody is there any more: what the process runs."""
    from flownet.devices.opencl.device import OpenCL
    from flownet.testing.guarded_kernel import GuardedKernel, kernel_fault

    connection = Connection(descriptor)
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
