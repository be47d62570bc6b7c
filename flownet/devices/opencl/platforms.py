"""Which OpenCL devices there are, and which one a name means: `opencl`, `opencl:0`, `opencl:nvidia`."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

from flownet.devices.opencl.target import pin_pocl_threads
from flownet.errors import FlownetError

__all__ = ["Found", "calling_thread_device", "find", "found_devices"]

_CALLING_THREAD = "basic"  # PoCL's second kind of processor device, and how its name begins


@dataclass(frozen=True)
class Found:
    """An OpenCL device: `id` is what `--device` takes; `type` is "gpu", "cpu" or "accelerator"."""

    id: str
    name: str
    platform: str
    version: str
    driver: str
    type: str
    units: int
    memory: int
    vector: int
    float64: bool
    handle: Any

    def describe(self) -> str:
        return f"{self.name} ({self.platform}, {self.version})"


@functools.cache
def found_devices() -> tuple[Found, ...]:
    """All devices, graphics processors first, in the platforms' order otherwise. Empty without PyOpenCL or without drivers."""
    pin_pocl_threads()
    os.environ.setdefault("POCL_DEVICES", f"pthread {_CALLING_THREAD}")
    try:
        import pyopencl as cl

        platforms = cl.get_platforms()
    except Exception:  # PyOpenCL absent, or no driver: an ImportError or cl.LogicError
        return ()
    handles = []
    for platform in platforms:
        try:
            handles += platform.get_devices()
        except cl.Error:  # a platform without devices is an error to OpenCL
            continue
    shown = [h for h in handles if not _runs_in_calling_thread(h)]
    handles = shown or handles  # who names it alone in POCL_DEVICES means it
    kinds = {cl.device_type.GPU: "gpu", cl.device_type.CPU: "cpu"}
    order = {"gpu": 0, "accelerator": 1, "cpu": 2}
    typed = [(next((k for bit, k in kinds.items() if h.type & bit), "accelerator"), h) for h in handles]
    typed.sort(key=lambda pair: order[pair[0]])
    return tuple(
        Found(
            f"opencl:{i}", h.name.strip(), h.platform.name.strip(), h.version.strip(), h.driver_version.strip(), kind,
            int(h.max_compute_units), int(h.global_mem_size), int(h.native_vector_width_float),
            "cl_khr_fp64" in h.extensions, h,
        )
        for i, (kind, h) in enumerate(typed)
    )  # fmt: skip


def calling_thread_device(handle: Any) -> Any:
    """The device of the same platform that runs kernels in the thread that launches them, or None.

    It wakes nobody: on PoCL a launch with its wait takes 2 µs there, and 8 to 25 µs where a pool of threads waits for work.
    """
    if _runs_in_calling_thread(handle):
        return None
    return next((h for h in handle.platform.get_devices() if _runs_in_calling_thread(h)), None)


def _runs_in_calling_thread(handle: Any) -> bool:
    return "portable computing" in handle.platform.name.lower() and handle.name.startswith(_CALLING_THREAD)


def find(name: str) -> Found:
    """The device that `opencl`, `opencl:<number>` or `opencl:<part of its name>` means. Raises FlownetError."""
    devices = found_devices()
    listing = [f"`{d.id}` is {d.describe()}" for d in devices]
    if not devices:
        raise FlownetError.of(
            "no-device", "there is no OpenCL device on this machine",
            help="pip install pocl-binary-distribution brings one for the processor; `--device cpu` needs none",
        )  # fmt: skip
    _, _, which = name.partition(":")
    if not which:
        return devices[0]
    if which.isdigit():
        if int(which) < len(devices):
            return devices[int(which)]
        raise FlownetError.of(
            "no-device", f"there is no OpenCL device `{name}`", *listing, help="`flownet devices` lists them"
        )
    matching = [d for d in devices if which.lower() in f"{d.name} {d.platform}".lower()]
    if not matching:
        raise FlownetError.of(
            "no-device", f"no OpenCL device is called `{which}`", *listing, help="`flownet devices` lists them"
        )
    return matching[0]
