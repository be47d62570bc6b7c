"""Asking for weights before they are wanted.

Few pixels with many weights (the last layers of an image classifier at batch 1) are bound by the reading of weights, each
of which comes from memory once. A core that multiplies as it reads waits for memory, then computes: 12 GB/s on two cores
of a Sapphire Rapids, which read 22 GB/s when they asked in advance. So the `times` tiles that use one block of weights
share out the asking for the next block, which has arrived in the second cache when its turn comes.
"""

from __future__ import annotations

from flownet.devices.opencl.kernels.kernel import ceil_div

__all__ = ["PREFETCH", "vectors_ahead"]

#: `PREFETCH(p)` asks for the cache line at any address, valid or not. OpenCL's own `prefetch` does nothing in PoCL; clang's
#: wants a pointer without address space.
PREFETCH = """#ifdef __clang__
#define PREFETCH(p) __builtin_prefetch((const void*)(size_t)(p), 0, 2)
#else
#define PREFETCH(p)
#endif"""

_FEW = 256 << 10  # bytes of weights that arrive soon enough by themselves


def vectors_ahead(weights: int, vectors: int, times: int) -> int:
    """How many of the next block's vectors each of `times` readings of `vectors` asks for; 0 where all `weights` (bytes)
    are few, or read so often that their first reading does not matter."""
    return ceil_div(vectors, times) if weights > _FEW and times <= vectors else 0
