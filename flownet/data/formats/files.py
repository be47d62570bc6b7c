"""Reading whole files and gzip streams, with a clear error for each way in which they can be damaged."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from flownet.errors import FlownetError

__all__ = ["open_binary", "read_bytes", "truncated", "unreadable"]

_MOST_GZIP_EXPANDS = (
    1032  # deflate's limit, by which a header that promises more is found out before anything is allocated
)


def open_binary(path: Path) -> BinaryIO:
    """The file at `path` for reading, decompressed when its name ends in `.gz`."""
    try:
        return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """The content of `path`, decompressed; no more than `most` bytes of it.

    Raises `data-truncated` for a gzip stream that ends early, `data-unreadable` for one that is damaged or no gzip.
    """
    with open_binary(path) as file:
        try:
            return file.read() if most is None else file.read(most)
        except EOFError:
            raise truncated(
                path, "the end of its gzip stream", f"{path.stat().st_size} bytes that stop before it"
            ) from None
        except (OSError, zlib.error) as error:
            raise unreadable(path, error) from None


def most_bytes(path: Path) -> int:
    """A bound on what `path` can hold once decompressed, in bytes."""
    size = path.stat().st_size
    return size * _MOST_GZIP_EXPANDS if path.suffix == ".gz" else size


def truncated(path: Path, expected: str, found: str) -> FlownetError:
    return FlownetError.of(
        "data-truncated",
        f"{path} is cut short: expected {expected}, found {found}",
        help="the download or copy was interrupted: get the file again",
    )


def unreadable(path: Path, reason: object) -> FlownetError:
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror.lower()
    return FlownetError.of("data-unreadable", f"{path} cannot be read: {reason}")
