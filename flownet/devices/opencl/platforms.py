"""Which OpenCL devices there are, and which one a name means: `opencl`, `opencl:0`, `opencl:nvidia`."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flownet.devices.opencl.target import pin_pocl_threads
from flownet.errors import FlownetError

__all__ = ["Found", "calling_thread_devices", "driver_problems", "find", "found_devices"]

_CALLING_THREAD = "basic"  # PoCL's second kind of processor device, and how its name begins
_MOST_THREADS = 8  # more would not make a small program faster


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


def found_devices() -> tuple[Found, ...]:
    """All devices, graphics processors first, in the platforms' order otherwise. Empty without PyOpenCL or without drivers."""
    return _discovered()[0]


def driver_problems() -> tuple[str, ...]:
    """What does not work of the drivers that are installed, a line each: their other devices are found all the same."""
    return _discovered()[1]


@functools.cache
def _discovered() -> tuple[tuple[Found, ...], tuple[str, ...]]:
    pin_pocl_threads()
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    chosen = os.environ.setdefault("POCL_DEVICES", every := " ".join(["pthread", *[_CALLING_THREAD] * threads]))
    problems = _without_caches()
    try:
        import pyopencl as cl
    except Exception as error:  # an ImportError, or what the libraries that it loads raise
        return (), (f"PyOpenCL cannot be loaded: {error}",)
    empty: list[str] = []
    handles: list[Any] = []
    try:
        platforms = cl.get_platforms()
    except cl.Error as error:
        none = error.code == cl.status_code.PLATFORM_NOT_FOUND_KHR  # type: ignore[attr-defined]
        return (), _where_it_looked() if none else (f"OpenCL's loader does not work: {error}",)
    for platform in platforms:
        try:
            here = platform.get_devices()
        except cl.Error as error:
            here = []
            if error.code != cl.status_code.DEVICE_NOT_FOUND:  # type: ignore[attr-defined]  # a platform without devices is an error to OpenCL
                problems.append(f"the driver {_name_of(platform)} lists no devices: {error}")
                continue
        handles += here
        if not here:
            empty.append(f"the driver {_name_of(platform)} has no devices here")
    if not handles:  # a driver whose device is not in this machine is worth no word where there is another
        problems += [*empty, *([f"POCL_DEVICES is `{chosen}`"] if empty and chosen != every else [])]
    described = []
    for handle in handles:
        try:
            described.append((handle, _described(handle)))
        except cl.Error as error:
            problems.append(f"the device {_name_of(handle)} does not say what it is: {error}")
    shown = [each for each in described if not _runs_in_calling_thread(each[0])]
    order = {"gpu": 0, "accelerator": 1, "cpu": 2}
    # who names the calling thread's device alone in POCL_DEVICES means it
    listed = sorted((facts for _, facts in shown or described), key=lambda facts: order[facts["type"]])
    return tuple(Found(f"opencl:{i}", **facts) for i, facts in enumerate(listed)), tuple(problems)


def _without_caches() -> list[str]:
    """Lets PoCL and PyOpenCL do where they cannot write to their caches: the first has no devices then, the second fails.

    To be called before PyOpenCL is imported. What there is to tell of it.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if _not_writable(home / "pytools"):
        os.environ.setdefault("PYOPENCL_NO_CACHE", "1")
    given = os.environ.get("POCL_CACHE_DIR")
    folder = Path(given) if given else home / "pocl" / "kcache"
    if not (why := _not_writable(folder)):
        return []
    instead = os.environ["POCL_CACHE_DIR"] = tempfile.mkdtemp(prefix="flownet-pocl-")
    atexit.register(shutil.rmtree, instead, ignore_errors=True)
    return [f"PoCL cannot write to {folder} ({why}), and each start compiles anew: POCL_CACHE_DIR names another folder"]


def _not_writable(folder: Path) -> str:
    """Why nothing can be written to a folder, which is made; empty if it can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")  # a disk may be full
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _where_it_looked() -> tuple[str, ...]:
    given = os.environ.get("OCL_ICD_VENDORS")
    return (f"OCL_ICD_VENDORS is `{given}`: drivers that are not listed there are not found",) if given else ()


def _described(handle: Any) -> dict[str, Any]:
    import pyopencl as cl

    kinds = {cl.device_type.GPU: "gpu", cl.device_type.CPU: "cpu"}
    return {
        "name": handle.name.strip(),
        "platform": handle.platform.name.strip(),
        "version": handle.version.strip(),
        "driver": handle.driver_version.strip(),
        "type": next((kind for bit, kind in kinds.items() if handle.type & bit), "accelerator"),
        "units": int(handle.max_compute_units),
        "memory": int(handle.global_mem_size),
        "vector": int(handle.native_vector_width_float),
        "float64": "cl_khr_fp64" in handle.extensions,
        "handle": handle,
    }


def _name_of(handle: Any) -> str:
    """What a platform or a device calls itself, if it does."""
    try:
        return f"`{handle.name.strip()}`"
    except Exception:
        return "without a name"


def calling_thread_devices(handle: Any) -> tuple[Any, ...]:
    """The devices of the same platform that run kernels in the thread that launches them.

    They wake nobody: on PoCL a launch with its wait takes 1 µs there, and 8 to 25 µs where a pool of threads waits for work.
    """
    if _runs_in_calling_thread(handle):
        return ()
    return tuple(h for h in handle.platform.get_devices() if _runs_in_calling_thread(h))


def _runs_in_calling_thread(handle: Any) -> bool:
    return "portable computing" in handle.platform.name.lower() and handle.name.startswith(_CALLING_THREAD)


def find(name: str) -> Found:
    """The device that `opencl`, `opencl:<number>` or `opencl:<part of its name>` means. Raises FlownetError."""
    devices = found_devices()
    listing = [f"`{d.id}` is {d.describe()}" for d in devices]
    if not devices:
        raise FlownetError.of(
            "no-device", "there is no OpenCL device on this machine", *driver_problems(),
            help="pip install pocl-binary-distribution brings one for the processor; `--device cpu` needs none",
        )  # fmt: skip
    _, _, which = name.partition(":")
    if not which:
        return devices[0]
    if which.isdecimal():
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
