"""The log of a run: JSON Lines, one object a line, which only ever grows; a resumed run cuts off what it will do again."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flownet.errors import MachineError

__all__ = ["Log", "read_log"]


class Log:
    """Appends records to a file. `kept` bytes of it are kept from an earlier run, what follows them is cut off."""

    def __init__(self, path: Path, kept: int = 0) -> None:
        self.path = path
        try:
            self._file = open(path, "r+b" if kept and path.exists() else "w+b")  # noqa: SIM115  # closed by `close`
            self._file.seek(kept)
            self._file.truncate()
        except OSError as error:
            raise MachineError.of("cannot-write", f"`{path}` cannot be written: {error.strerror or error}") from None

    def write(self, record: dict[str, Any]) -> None:
        """Append one record. Raises MachineError (`cannot-write`)."""
        try:
            self._file.write((json.dumps({k: _plain(v) for k, v in record.items()}) + "\n").encode())
            self._file.flush()
        except OSError as error:
            raise MachineError.of(
                "cannot-write", f"`{self.path}` cannot be written: {error.strerror or error}",
                "the last checkpoint is whole", help="free some space, then go on with `--resume`",
            ) from None  # fmt: skip

    @property
    def size(self) -> int:
        """Bytes written so far: what a checkpoint remembers."""
        return self._file.tell()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk was reported by the write that met it
            self._file.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log; a last line that was cut by a crash is left out."""
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return value
