"""Memory that host and device see: regions, and the pool that parameters and states live in.

On a CPU a region is a NumPy array that OpenCL uses in place, so that feeding, fetching and a node that runs in NumPy copy nothing
twice. Elsewhere a region has two sides, and `to_device` and `to_host` copy.

Parameters are not buffers of their own: a kernel that runs a whole program takes a handful of pointers, not a thousand. They are cut off
slabs, which grow with the need; pages that nobody touched take no memory.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np

from flownet.devices.device import Storage
from flownet.devices.lack_of_memory import megabytes, out_of_memory
from flownet.devices.opencl.faults import lacks_memory
from flownet.errors import MachineError
from flownet.types import TensorType

__all__ = ["OpenCLStorage", "Pool", "Region"]

ALIGNMENT = 64
_PAGE = 4096
# The first is below 4 MiB, from which on NumPy asks the system for pages of 2 MiB: a small net's parameters would take one or two of them.
_FIRST_SLAB, _LARGEST_SLAB = (4 << 20) - (64 << 10), 256 << 20


class Region:
    """`nbytes` of memory: `host` (uint8) is its side that NumPy sees, `buffer` the device's.

    what:    what it is for, as errors call it: a plural
    largest: what takes the most of it, a line each

    Raises MachineError (`out-of-memory`) where the device has not that much, at once or left.
    """

    def __init__(self, runtime: Any, nbytes: int, what: str, largest: Sequence[str] = ()) -> None:
        cl = runtime.cl
        self.runtime, self.what, self.largest = runtime, what, tuple(largest)
        self.nbytes = max(nbytes, 4) + ALIGNMENT  # vectors may touch what follows the last row
        self._check_room()
        try:
            whole = np.zeros(self.nbytes + _PAGE, np.uint8)
            start = -whole.ctypes.data % _PAGE
            self.host = whole[start : start + self.nbytes]
            flags = cl.mem_flags.READ_WRITE
            if runtime.shares_memory:
                self.buffer = cl.Buffer(runtime.context, flags | cl.mem_flags.USE_HOST_PTR, hostbuf=self.host)
            else:
                self.buffer = cl.Buffer(runtime.context, flags, self.nbytes)
                cl.enqueue_copy(runtime.queue, self.buffer, self.host)
        except (MemoryError, cl.Error) as error:
            if not lacks_memory(error) and error.code != cl.status_code.OUT_OF_RESOURCES:  # type: ignore[attr-defined]
                raise runtime.failed(error, f"while memory was taken for {what}") from None
            raise self._lacking(f"there is no memory for {what}: {megabytes(nbytes)}", str(error)) from None
        runtime.regions.add(self)

    def _check_room(self) -> None:
        """Refuse what the device says that it has not: systems promise more than there is, and end the process that takes it."""
        runtime = self.runtime
        name = runtime.found.describe()
        if self.nbytes > runtime.largest_buffer:
            most = megabytes(runtime.largest_buffer)
            raise self._lacking(f"{self.what} take {megabytes(self.nbytes)}, and `{name}` gives at most {most} at once")
        room = max(runtime.found.memory, runtime.largest_buffer)

        def too_much() -> bool:
            return self.nbytes + sum(region.nbytes for region in runtime.regions) > room

        if too_much():
            gc.collect()  # plans that nobody holds any more may lie in cycles
        if too_much():
            needed = megabytes(self.nbytes)
            raise self._lacking(f"there is no memory for {self.what}: {needed}, and `{name}` has {megabytes(room)}")

    def _lacking(self, message: str, *notes: str) -> MachineError:
        return out_of_memory(message, *notes, *self.largest, *self.runtime.held())

    def view(self, offset: int, type: TensorType) -> np.ndarray:
        """The host's side of the array at `offset` bytes."""
        flat = self.host[offset : offset + int(type.nbytes)]  # type: ignore[arg-type]
        return flat.view(type.dtype.numpy).reshape(tuple(int(d) for d in type.shape))  # type: ignore[arg-type]

    def to_device(self, offset: int, nbytes: int) -> None:
        """Copy bytes from the host's side to the device's."""
        runtime = self.runtime
        if not runtime.shares_memory and nbytes:
            with runtime.guarded(f"while it was given {self.what}"):
                part = self.host[offset : offset + nbytes]
                runtime.cl.enqueue_copy(runtime.queue, self.buffer, part, dst_offset=offset, is_blocking=True)

    def begin_upload(self, offset: int, nbytes: int) -> Any:
        """Begin to copy bytes to the device, beside the kernels that run: an event, or None where memory is shared.

        The host's side must not change before it is over, nor may a kernel that is under way read these bytes.
        """
        if self.runtime.shares_memory or not nbytes:
            return None
        part, queue = self.host[offset : offset + nbytes], self.runtime.transfers
        with self.runtime.guarded(f"while it was given {self.what}"):
            event = self.runtime.cl.enqueue_copy(queue, self.buffer, part, dst_offset=offset, is_blocking=False)
            queue.flush()
        return event

    def begin_download(self, queue: Any, offset: int, nbytes: int) -> Any:
        """Let bytes be copied to the host behind what `queue` has to do: an event, or None where memory is shared."""
        if self.runtime.shares_memory or not nbytes:
            return None
        part = self.host[offset : offset + nbytes]
        return self.runtime.cl.enqueue_copy(queue, part, self.buffer, src_offset=offset, is_blocking=False)

    def to_host(self, offset: int, nbytes: int) -> None:
        """Copy bytes from the device's side to the host's."""
        runtime = self.runtime
        if not runtime.shares_memory and nbytes:
            with runtime.guarded(f"while it gave {self.what}"):
                part = self.host[offset : offset + nbytes]
                runtime.cl.enqueue_copy(runtime.queue, part, self.buffer, src_offset=offset, is_blocking=True)


class Pool:
    """Slabs that storages are cut off."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.slabs: list[Region] = []
        self._used = 0
        self.version = (
            0  # counts writes from outside, and runs that change storages: what depends on parameters is then stale
        )

    def take(self, nbytes: int) -> tuple[int, int]:
        """(slab, offset in bytes) of new memory."""
        nbytes = -(-max(nbytes, 4) // ALIGNMENT) * ALIGNMENT
        if not self.slabs or self._used + nbytes > self.slabs[-1].nbytes - ALIGNMENT:
            size = min(_FIRST_SLAB << (2 * len(self.slabs)), _LARGEST_SLAB)
            self.slabs.append(Region(self.runtime, max(size, nbytes), "parameters"))
            self._used = 0
        offset, self._used = self._used, self._used + nbytes
        return len(self.slabs) - 1, offset


class OpenCLStorage(Storage):
    """An array in a slab."""

    def __init__(self, pool: Pool, type: TensorType) -> None:
        self.type, self.pool = type, pool
        self.slab, self.offset = pool.take(int(type.nbytes))  # type: ignore[arg-type]
        self.nbytes = int(type.nbytes)  # type: ignore[arg-type]

    def read(self) -> np.ndarray:
        self.pool.runtime.finish()
        region = self.pool.slabs[self.slab]
        region.to_host(self.offset, self.nbytes)
        return region.view(self.offset, self.type).copy()

    def write(self, array: np.ndarray) -> None:
        self.pool.runtime.finish()
        region = self.pool.slabs[self.slab]
        region.view(self.offset, self.type)[...] = array
        region.to_device(self.offset, self.nbytes)
        self.pool.version += 1
