"""Many kernels in one launch: a few workers run through all stages, with a counter between stages instead of a launch.

Why: a launch costs PoCL 2 to 4 microseconds, and after each one the other cores' threads must be woken, which takes
longer than a small kernel runs (a 64 x 256 x 784 product of 0.13 ms ran on one core of two when launched alone). One
launch of `units` work-groups keeps every core in the kernel from the first stage to the last.

How: each stage has two counters. A worker takes the number of the next work-group from the first, computes it, and
adds one to the second; when no number is left it waits until the second says that all are done, and goes on to the
next stage. Nobody waits for a worker to *arrive*, only for work-groups that somebody has begun: so it ends on every
device, even where work-groups run one after another (the first worker then does everything), and no assumption is made
about how many run at a time. The last worker to leave sets the counters back to zero for the next launch.

Work-groups of a stage must be independent, as in any launch. The counters' buffer starts as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flownet.devices.opencl.kernels.kernel import Argument, Kernel, product

__all__ = ["Call", "counters", "persistent"]

_SPREAD = 16  # ints between counters: a cache line each


@dataclass(frozen=True)
class Call:
    """One stage: a kernel, and for each of its arguments a C expression over the launch's arguments (`arena +
    4096`)."""

    kernel: Kernel
    pointers: tuple[str, ...]


def counters(stages: int) -> int:
    """How many ints the buffer `counters` has."""
    return (2 * stages + 1) * _SPREAD


def persistent(name: str, calls: Sequence[Call], arguments: Sequence[Argument], workers: int) -> Kernel:
    """One kernel that runs `calls` in order, over `arguments` and one more, `counters` (int). Kernels with the same
    text share a function."""
    bodies: dict[tuple[tuple[str, ...], tuple[Argument, ...]], str] = {}
    functions: list[str] = []
    lines = []
    stride = 2 * _SPREAD
    for stage, call in enumerate(calls):
        kernel = call.kernel
        assert kernel.local == (1, 1, 1), "work-items need a launch of their own"
        key = (kernel.body, kernel.arguments)
        if key not in bodies:
            bodies[key] = f"stage{len(bodies)}"
            functions.append(_function(kernel, bodies[key]))
        x, y, _ = kernel.grid
        total = product(kernel.grid)
        numbers = [f"i % {x}", f"i / {x} % {y}", f"i / {x * y}"]
        lines += [
            f"for (;;) {{ // {kernel.name}",
            f"const int i = atomic_inc(counters + {stage * stride});",
            f"if (i >= {total}) break;",
            f"{bodies[key]}({', '.join([*call.pointers, *numbers])});",
            "mem_fence(CLK_GLOBAL_MEM_FENCE);",
            f"atomic_inc(counters + {stage * stride + _SPREAD});",
            "}",
            f"while (counters[{stage * stride + _SPREAD}] < {total}) ;",
            "mem_fence(CLK_GLOBAL_MEM_FENCE);",
        ]
    left = len(calls) * stride
    lines += [
        f"if (atomic_inc(counters + {left}) == {workers - 1}) {{",
        f"for (int i = 0; i <= {left}; i += {_SPREAD}) counters[i] = 0;",
        "}",
    ]
    preambles = dict.fromkeys(text for call in calls for text in call.kernel.preamble)
    return Kernel(
        name=name,
        body=tuple(lines),
        arguments=(*arguments, Argument("counters", "inout", counters(len(calls)), "volatile int")),
        grid=(workers, 1, 1),
        preamble=(*preambles, *functions),
        flops=sum(call.kernel.flops for call in calls),
        bytes=sum(call.kernel.bytes for call in calls),
        variant=f"{len(calls)} stages, {len(functions)} functions",
    )


def _function(kernel: Kernel, name: str) -> str:
    arguments = ", ".join(
        [a.declaration() for a in kernel.arguments] + ["const int g0", "const int g1", "const int g2"]
    )
    attributes = kernel.attributes or "__attribute__((noinline))"
    return "\n".join([f"{attributes} void {name}({arguments}) {{", *kernel.body, "}"])
