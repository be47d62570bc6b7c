"""A binary of PoCL's without LLVM's form of the program, of which nothing but machine code is left.

Why: as long as one of its kernels lives, PoCL keeps LLVM's form of a program in memory, which nobody looks at again once there is machine
code: 2.4 MB of the 2.8 that an MLP's training step takes in all, 5.4 MB of LeNet-5's, and there is no call that frees it. And for a program of
source it runs clang's preprocessor each time before it finds the machine code in its cache: 40 ms a program. Given a binary without that form,
PoCL 3.0 takes the machine code and says that the program cannot be linked with others, which nobody wants to.

A binary, version 8, is (numbers little-endian)

    "poclbin\\0"; the device (8 bytes); 8, the number of kernels (4 bytes each); flags (8 bytes)
    where it is unpacked below PoCL's cache (41 bytes: 40 characters with a slash behind the second, and 0)
    "/program.bc", and LLVM's form (both with a length of 4 bytes before them)
    kernels: what is known of the arguments, and machine code

The second part is replaced by a file of one byte under another name, and the folder by another, since PoCL looks there for "/program.bc".
"""

from __future__ import annotations

import hashlib
import struct

__all__ = ["without_llvm"]

_HEADER = struct.Struct("<8sQIIQ41s")
_LENGTH = struct.Struct("<I")
_MAGIC, _VERSION = b"poclbin\0", 8
_LLVM, _INSTEAD = b"/program.bc", (b"/machine_code_alone", b"\n")


def without_llvm(binary: bytes) -> bytes | None:
    """The binary without LLVM's form of the program; None where it is of another format than the one that is known."""
    try:
        magic, device, version, kernels, flags, folder = _HEADER.unpack_from(binary)
        name, at = _counted(binary, _HEADER.size)
        _, at = _counted(binary, at)
    except struct.error:
        return None
    if (magic, version, name) != (_MAGIC, _VERSION, _LLVM) or folder[2:3] + folder[-1:] != b"/\0" or not binary[at:]:
        return None
    digest = hashlib.sha256(binary).hexdigest().upper()
    header = _HEADER.pack(magic, device, version, kernels, flags, f"{digest[:2]}/{digest[2:39]}".encode())
    return header + b"".join(_LENGTH.pack(len(part)) + part for part in _INSTEAD) + binary[at:]


def _counted(binary: bytes, at: int) -> tuple[bytes, int]:
    """The bytes whose number stands at `at`, and what is behind them."""
    (count,) = _LENGTH.unpack_from(binary, at)
    begin = at + _LENGTH.size
    return binary[begin : begin + count], begin + count
