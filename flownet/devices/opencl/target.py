"""What the kernel generators know about a device: facts, never the device itself.

Generated source depends on nothing else than the problem and a `Target`, so that a kernel can be generated, read and
tested without a device, and so that a cache may use the target as its key.

Two kinds: `cpu` (one work-item a work-group, explicit vectors, tiles in registers) and `gpu` (local memory, many
work-items).

AVX-512 on PoCL 3.0. The LLVM 14 that pip's PoCL brings does not know newer processors (a Zen 4 counts as `znver3`), so
it compiles for AVX2: 16 registers of 8 floats. A function with `__attribute__((noinline, target("avx512f,...")))` is
compiled for AVX-512 all the same: 32 registers of 16 floats. `noinline` is what makes it work: PoCL runs a copy of the
kernel that is inlined into its work-group loop, which has not the attribute. Measured on Zen 4 with 24 accumulators of
16 floats: 229 GFLOP/s out of a peak of 236, 76 without `noinline`. Such a function must not pass a `float16` to a
built-in function, whose calling convention was fixed without AVX-512: `Target.call_width` is the widest vector that
may be passed to one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

__all__ = ["Target", "pin_pocl_threads"]

_AVX512 = ("AVX512F", "AVX512VL", "AVX512BW", "AVX512DQ")

# Two multiply-adds of 16 floats a cycle (a Zen 4: one), and a mesh to the last cache. Measured on 2 cores of a Sapphire
# Rapids with 373 GFLOP/s: weights that do not stay in the second cache come at 29 GB/s a core up to some MB, at 7 beyond,
# 4.9 and 1.2 bytes in the time of a multiply-add. The first is lower here, since Winograd's tilings were fitted with it (`winograd.cycles`).
# (Its second cache has 2 MiB, but tilings for 1 MiB are the faster ones on nets that fit: 21 against 22 ms.)
_INTEL = {"l3": 6 << 20, "rates": (3.0, 1.2)}


@dataclass(frozen=True)
class Target:
    """Facts about one OpenCL device.

    kind:        "cpu" or "gpu"
    vector:      floats in one vector variable; also the channel block of the layout NCHWc
    registers:   vector registers that a tile may use, accumulators and operands together
    units:       compute units (cores of a CPU)
    l1, l2, l3:  bytes of a core's first and second cache, and of the last one that a core may count on
    rates:       bytes that a core reads from its last cache and from memory in the time of a vector's multiply-add
    private_bytes: bytes of private memory of a work-group of a CPU: the stack of a thread
    attributes:  put before every generated function that computes
    call_width:  the widest vector that may be an argument of a built-in function such as `exp`
    sub_groups:  how work-items of a sub-group put together what they found: "shuffle", "reduce", or "" where there are none
    standard:    the version of OpenCL C that sources are built as, such as "CL3.0"; the driver's own choice if empty
    """

    kind: str = "cpu"
    vector: int = 8
    registers: int = 16
    units: int = 2
    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 16 << 20
    rates: tuple[float, float] = (16.0, 6.0)
    private_bytes: int = 1 << 20
    attributes: str = ""
    call_width: int = 16
    sub_groups: str = ""
    standard: str = ""

    #: `fma` and `mad` are calls on PoCL 3.0 (13 times slower): sources say `a * b + c` and are built with these. All of
    #: -cl-fast-relaxed-math but -cl-finite-math-only, under which a compiler may let NaN come out as any number.
    #: -w: PoCL's compiler writes `2 warnings generated.` to the process's standard error, and not which.
    build_options = "-cl-unsafe-math-optimizations -cl-mad-enable -cl-no-signed-zeros -w"

    @property
    def options(self) -> str:
        """What sources for this target are built with."""
        return f"{self.build_options} -cl-std={self.standard}" if self.standard else self.build_options

    @classmethod
    def of(cls, device: Any) -> Target:
        """The target of a `pyopencl.Device`."""
        import pyopencl as cl

        units = max(int(device.max_compute_units), 1)  # some say 0
        if not device.type & cl.device_type.CPU:
            return cls("gpu", 4, 64, units, call_width=16)
        facts: dict[str, Any] = {"units": units, "private_bytes": min(4 << 20, _thread_stack() // 2)}
        if "intel" in device.vendor.lower() and _host_has_avx512():
            facts |= _INTEL
        if not _host_has_avx512():
            return cls(vector=8, registers=16, **facts)
        if (
            "pocl" in (device.platform.name + device.platform.version).lower()
            or "portable" in device.platform.name.lower()
        ):
            features = ",".join(name.lower() for name in _AVX512)
            attributes = f'__attribute__((noinline, min_vector_width(512), target("{features}")))'
            return cls(vector=16, registers=32, attributes=attributes, call_width=8, **facts)
        return cls(vector=16, registers=32, **facts)


def _host_has_avx512() -> bool:
    """Whether this processor has what 16-float tiles need. A CPU device of OpenCL is the processor that we run on."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:  # moved in some later NumPy: eight floats are right everywhere
        return False
    return all(features.get(name, False) for name in _AVX512)


def _thread_stack() -> int:
    """Bytes that a new thread's stack has: by the limit of this process, or 2 MiB where there is none (glibc's choice)."""
    try:
        import resource
    except ImportError:  # Windows: 1 MiB
        return 1 << 20
    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return 2 << 20 if limit == resource.RLIM_INFINITY else limit


def pin_pocl_threads() -> bool:
    """Asks PoCL to pin each of its worker threads to a core; to be called before the first OpenCL call. Returns
    whether it did.

    Left alone, Linux often puts both workers of a 2-core machine on one core when kernels are short: the same kernel
    took 0.35 ms in one process and 0.74 ms in the next, and always 0.35 ms with POCL_AFFINITY=1. PoCL pins thread i to
    core i, so this is done only where we may use the cores from 0 on, and what the user has set stands.
    """
    cores = getattr(os, "sched_getaffinity", lambda _: set())(0)
    if "POCL_AFFINITY" in os.environ or cores != set(range(os.cpu_count() or 0)):
        return False
    os.environ["POCL_AFFINITY"] = "1"
    return True
