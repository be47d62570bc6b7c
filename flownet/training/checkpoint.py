"""Weights and checkpoints: safetensors files that are either whole or not there.

A file is written beside its place under a temporary name, flushed to the disk, and renamed: whoever is killed at
any moment leaves the old file or the new one. What is not a tensor (the position in the data, the graph's hash, the
plugins) lies in the file's metadata as JSON.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from flownet.errors import FlownetError, MachineError

__all__ = ["TensorFile", "read_tensors", "write_atomically", "write_tensors"]

FORMAT = 1


@dataclass(frozen=True)
class TensorFile:
    """Tensors by name, and what else the file says."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, Any]


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write a safetensors file. Raises MachineError (`cannot-write`) and leaves what was there."""
    text = {"flownet": json.dumps({"format": FORMAT, **metadata})}
    write_atomically(path, save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, text))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, whole or not at all. Raises MachineError (`cannot-write`)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _saying_which(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_tensors(path: Path | str) -> TensorFile:
    """Read a safetensors file, ours or another's. Raises FlownetError (`no-weights`, `bad-weights`)."""
    path = Path(path)
    if not path.is_file():
        raise FlownetError.of("no-weights", f"there is no weights file `{path}`")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get("flownet")
            return TensorFile({name: file.get_tensor(name) for name in file.keys()}, json.loads(text) if text else {})  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError, UnicodeDecodeError, ValueError) as error:
        raise FlownetError.of(
            "bad-weights", f"`{path}` is no whole safetensors file: {error}", help="it may be cut short: copy it again"
        ) from None


@contextlib.contextmanager
def _saying_which(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError.of(
            "cannot-write", f"`{path}` cannot be written: {error.strerror or error}",
            *(["what was saved there before is whole"] if path.is_file() else []),
            help=f"make the folder `{path.parent}`, or name another" if error.errno == errno.ENOENT
            else "free some space, or write into another folder",
        ) from None  # fmt: skip


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
