"""Writing what commands make: with the reason when it cannot be, and never half a file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_bytes", "write_text"]


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Replace the file by `data`, whole or not at all. Raises MachineError (`cannot-write`)."""
    from flownet.training.checkpoint import write_atomically

    path = Path(path).expanduser()
    write_atomically(path, data)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """The same for a text, in UTF-8."""
    return write_bytes(path, text.encode())
