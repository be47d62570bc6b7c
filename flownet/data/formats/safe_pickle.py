"""Reading pickles of plain values and NumPy arrays, and nothing that could run code.

A pickle is a program: it may call any function that it can name. This reader gives it the few names below, all of them
functions that build an array, and refuses the file at the first other one, before it is called.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from flownet.data.formats.files import read_bytes, unreadable
from flownet.errors import FlownetError

__all__ = ["read_pickle"]


def _empty_array(cls: object, shape: object, dtype: object) -> np.ndarray:
    # what the pickle's state then fills, whatever sizes it asks for here
    return np.ndarray((0,), "u1")


def _array_of_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _bytes_of_text(text: str, encoding: str) -> bytes:
    # how Python 3 writes bytes in protocol 2; any other codec might be somebody's own
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the codec {encoding!r}")
    return text.encode("latin-1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
    ("_codecs", "encode"): _bytes_of_text,
}


class _Forbidden(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Forbidden("a persistent id")


def read_pickle(path: Path) -> Any:
    """The value in `path`: containers, numbers, texts (bytes, where Python 2 wrote them) and arrays.

    Raises `data-forbidden-pickle` for one that names anything else, `data-unreadable` for one that is damaged.
    """
    content = read_bytes(path)
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _Forbidden as name:
        raise FlownetError.of(
            "data-forbidden-pickle",
            f"{path} asks for `{name}`, expected only arrays, lists, numbers and texts",
            "a pickle can run any code as it is read; nothing of this one was run",
            help="get the file from its official source, or use CIFAR-10's binary version, which needs no pickle",
        ) from None
    except Exception as error:  # a damaged pickle can raise anything at all
        raise unreadable(path, f"it is no pickle, or damaged ({type(error).__name__}: {error})") from None
