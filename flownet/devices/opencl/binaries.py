"""Binaries of programs on disk, so that a start but the first compiles nothing.

A file is named by what it was made of: device, driver, options, source. It begins with the digest of the rest: drivers read what they are
given as it stands, and fall over one that a full disk cut short.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["Binaries", "cache_folder"]

_DIGEST = 32  # bytes


def cache_folder() -> Path:
    """Where binaries and tuning results lie: FLOWNET_CACHE_DIR, else `flownet` below XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("FLOWNET_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flownet"


class Binaries:
    """What was built, by the names that the parts of a key give. Nothing is raised: a cache that fails costs time, no more."""

    def read(self, *key: str) -> bytes | None:
        """The binary; None where there is none, or not the whole of it."""
        try:
            stored = _path(key).read_bytes()
        except OSError:
            return None
        digest, binary = stored[:_DIGEST], stored[_DIGEST:]
        return binary if hashlib.sha256(binary).digest() == digest else None

    def write(self, binary: bytes, *key: str) -> None:
        """Keep a binary, in place of another."""
        path = _path(key)
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


def _path(key: tuple[str, ...]) -> Path:
    return cache_folder() / "opencl" / (hashlib.sha256("\0".join(key).encode()).hexdigest() + ".bin")
