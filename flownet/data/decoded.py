"""Splits over files that are decoded when they are asked for, so that a dataset larger than memory streams.

Decoded bytes are kept as long as the whole split fits into the memory given to it: the second epoch then decodes
nothing. The files of a batch are decoded by several threads at once, because Pillow lets go of Python's lock while it
works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from flownet.data.split import Batch, Field, check_batch, converted
from flownet.errors import FlownetError

__all__ = ["CACHE_MIB", "DecodedSplit"]

CACHE_MIB = 512

Decode = Callable[[int], Mapping[str, np.ndarray]]


class DecodedSplit:
    """Examples that `decode(i)` gives, one at a time, as stored arrays: bytes for an image.

    files:     name -> the files of a field, one an example, for messages
    stored:    name -> the element type that `decode` returns
    cache_mib: keep decoded examples when all of them take no more than so many MiB; 0 keeps none

    Errors, when an example is taken: those of `decode`; `data-wrong-size` when its shape is not its field's;
    `data-label-range`.
    """

    in_memory = False

    def __init__(
        self,
        length: int,
        decode: Decode,
        fields: Mapping[str, Field],
        *,
        files: Mapping[str, Sequence[Path]],
        stored: Mapping[str, np.dtype | type],
        cache_mib: int = CACHE_MIB,
    ) -> None:
        self.fields: Mapping[str, Field] = dict(fields)
        self._length = length
        self._decode = decode
        self._files = files
        self._stored = {name: np.dtype(stored[name]) for name in fields}
        bytes_each = sum(self._stored[name].itemsize * int(np.prod(field.shape)) for name, field in fields.items())
        self._cache: dict[str, np.ndarray] | None = None
        if bytes_each * length <= cache_mib << 20:
            self._cache = self._empty(length)
            self._cached = np.zeros(length, bool)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._length

    def _empty(self, count: int) -> dict[str, np.ndarray]:
        return {name: np.empty((count, *field.shape), self._stored[name]) for name, field in self.fields.items()}

    def take(self, indices: np.ndarray) -> Batch:
        indices = np.asarray(indices)
        if self._cache is None:
            rows = self._empty(len(indices))
            self._fill(rows, np.arange(len(indices)), indices)
        else:
            missing = np.unique(indices[~self._cached[indices]])
            # two threads may decode one example at once: they write the same bytes
            self._fill(self._cache, missing, missing)
            self._cached[missing] = True
            rows = {name: array.take(indices, axis=0) for name, array in self._cache.items()}
        return {name: converted(rows[name], field) for name, field in self.fields.items()}

    def _fill(self, rows: Mapping[str, np.ndarray], places: np.ndarray, indices: np.ndarray) -> None:
        def one(place: int, index: int) -> None:
            example = self._decode(index)
            for name, array in example.items():
                self._check(name, array, index)
                rows[name][place] = array

        jobs = list(zip(places.tolist(), indices.tolist(), strict=True))
        if len(jobs) < 2 or (os.cpu_count() or 1) < 2:
            for job in jobs:
                one(*job)
        else:
            list(self._threads().map(lambda job: one(*job), jobs))

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="flownet-decode")
            return self._pool

    def _check(self, name: str, array: np.ndarray, index: int) -> None:
        field, file = self.fields[name], self._files[name][index]
        if array.shape != field.shape:
            raise FlownetError.of(
                "data-wrong-size",
                f"{file} is {' × '.join(map(str, array.shape[-2:]))} (height × width), "
                f"expected {' × '.join(map(str, field.shape[-2:]))}",
                "the first image says what all of them should be, where no `size` is given",
                help="say `size: [height, width]`, to which all images are scaled",
            )
        if field.kind == "mask":
            check_batch({name: array[None]}, {name: field}, {name: file})
