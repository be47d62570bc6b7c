"""Programs of OpenCL C, built once: a start but the first takes their binaries from disk.

Where a driver keeps no binaries, they lie below `cache_folder()`. A file is named by what it was made of: device, driver, options, source. It
begins with the digest of the rest: drivers take what they are given as it stands, and fall over one that a full disk cut short.

NVIDIA's driver keeps its own, and ours would be the same again. So does PoCL, but with LLVM's form of the program, which it then holds in memory:
ours are without (`pocl_binary`), and what it keeps is only looked at when ours is gone. PyOpenCL's cache is always off.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flownet.devices.opencl.platforms import Found
from flownet.devices.opencl.pocl_binary import without_llvm

__all__ = ["Builds", "cache_folder"]

_DIGEST = 32  # bytes


def cache_folder() -> Path:
    """Where binaries and tuning results lie: FLOWNET_CACHE_DIR, else `flownet` below XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("FLOWNET_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flownet"


class Builds:
    """The programs of a device, or of its kin that take the same binaries.

    compiled:    how many were not found here (the driver may have found them)
    of_its_own:  whether the driver keeps binaries as good as ours
    """

    def __init__(self, found: Found) -> None:
        self.found = found
        self.pocl = any(word in found.platform.lower() for word in ("portable", "pocl"))
        self.of_its_own = "nvidia" in found.platform.lower()
        self.compiled = 0
        self._count = threading.Lock()

    def program(self, context: Any, devices: Sequence[Any], source: str, options: str) -> Any:
        """The program for these devices, of its binary or compiled. Raises PyOpenCL's errors."""
        import pyopencl as cl

        path = self._path(devices[0].name, options, source)
        if not self.of_its_own and (binary := _read(path)) is not None:
            try:
                return _of_binary(context, devices, binary, options)
            except cl.Error:  # of no use any more: build it anew
                pass
        with self._count:
            self.compiled += 1
        program = cl.Program(context, source).build(options, devices=devices, cache_dir=False)
        if self.of_its_own:
            return program
        binary = _binary_of(program)
        if not self.pocl:
            if binary:
                _write(path, binary)
            return program
        try:
            if (binary := without_llvm(binary)) is not None:
                less = _of_binary(context, devices, binary, options)
                _write(path, binary)
                del program
                _give_back()
                return less
        except cl.Error:
            pass
        self.of_its_own = True  # a PoCL that is not known: it does as it does
        return program

    def _path(self, device: str, options: str, source: str) -> Path:
        key = "\0".join((device, self.found.version, self.found.driver, options, source))
        return cache_folder() / "opencl" / (hashlib.sha256(key.encode()).hexdigest() + ".bin")


def _of_binary(context: Any, devices: Sequence[Any], binary: bytes, options: str) -> Any:
    import pyopencl as cl

    return cl.Program(context, devices, [binary] * len(devices)).build(options, devices=devices, cache_dir=False)


def _binary_of(program: Any) -> bytes:
    """The binary, one for all of the program's devices; empty where a driver gives none."""
    import pyopencl as cl

    try:
        return next(filter(None, program.get_info(cl.program_info.BINARIES)), b"")
    except cl.Error:
        return b""


def _read(path: Path) -> bytes | None:
    """The binary; None where there is none, or not the whole of it."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, binary = stored[:_DIGEST], stored[_DIGEST:]
    return binary if hashlib.sha256(binary).digest() == digest else None


def _write(path: Path, binary: bytes) -> None:
    """Keep a binary, in place of another. A cache that cannot be written costs time, no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
    except OSError:
        return
    try:
        with open(handle, "wb") as file:
            file.write(hashlib.sha256(binary).digest() + binary)
        os.replace(name, path)  # atomic: two processes may build the same
    except OSError:
        Path(name).unlink(missing_ok=True)


def _give_back() -> None:
    """Let the system have the memory that a compiler freed, some 20 MB: the GNU C library keeps it until it is asked."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
