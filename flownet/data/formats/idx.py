"""The IDX format of MNIST: a magic number, the sizes as big-endian 32-bit integers, then the values.

Source: LeCun, Cortes, Burges, "The MNIST database", section "File formats". The magic number is two zero bytes, one for
the type of the values, one for the number of dimensions: 00 00 08 03 for images, 00 00 08 01 for labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flownet.data.formats.files import most_bytes, read_bytes, truncated
from flownet.errors import FlownetError

__all__ = ["read_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_USUAL = {1: "labels", 3: "images", 4: "images with channels"}


def read_idx(path: Path, ranks: tuple[int, ...] | None = None) -> np.ndarray:
    """The array in `path`: read into memory from `.gz`, mapped from the file otherwise.

    ranks: the numbers of dimensions that are right here: (3,) for images, (1,) for labels

    Raises `data-wrong-magic`, `data-truncated`, `data-wrong-size` (more bytes than the header says), `data-empty`.
    """
    start = read_bytes(path, 4)
    if len(start) < 4:
        raise truncated(path, "4 bytes of IDX magic number", f"{len(start)} bytes") if start else _empty(path)
    code, rank = start[2], start[3]
    if start[:2] != b"\0\0" or code not in _TYPES:
        help = "its name lacks the `.gz`" if start[:2] == b"\x1f\x8b" else "give an IDX file, as MNIST's are"
        raise FlownetError.of(
            "data-wrong-magic",
            f"{path} begins with {_hex(start)}, expected 00 00 08 and a number of dimensions",
            help=help,
        )
    if ranks is not None and rank not in ranks:
        expected = " or ".join(f"00 00 {code:02x} {r:02x} ({_USUAL.get(r, f'{r} dimensions')})" for r in ranks)
        raise FlownetError.of(
            "data-wrong-magic",
            f"{path} begins with {_hex(start)} ({_USUAL.get(rank, f'{rank} dimensions')}), expected {expected}",
            help="images and labels are exchanged, or the file has the wrong name",
        )
    header = 4 + 4 * rank
    sizes = read_bytes(path, header)[4:]
    if len(sizes) < 4 * rank:
        raise truncated(path, f"{header} bytes of header", f"{4 + len(sizes)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    dtype = np.dtype(_TYPES[code])
    values = dtype.itemsize
    for size in shape:
        values *= size
    if not values:
        raise FlownetError.of("data-empty", f"{path} holds no values: its header gives the sizes {list(shape)}")
    expected = f"{header + values} bytes for {' × '.join(map(str, shape))} values of {dtype.itemsize} bytes"
    if header + values > most_bytes(path):
        raise truncated(path, expected, f"{path.stat().st_size} bytes{' of gzip' if path.suffix == '.gz' else ''}")
    if path.suffix == ".gz":
        content = read_bytes(path, header + values + 1)
        size = len(content)
    else:
        size = path.stat().st_size
    if size < header + values:
        raise truncated(path, expected, f"{size}")
    if size > header + values:
        more = "more" if path.suffix == ".gz" else f"{size}"
        raise FlownetError.of("data-wrong-size", f"{path} is too long: expected {expected}, found {more}")
    if path.suffix == ".gz":
        return np.frombuffer(content, dtype, offset=header).reshape(shape)
    return np.memmap(path, dtype, "r", header, shape)


def _empty(path: Path) -> FlownetError:
    return FlownetError.of("data-empty", f"{path} is empty: 0 bytes", help="get the file again")


def _hex(data: bytes) -> str:
    return data.hex(" ")
