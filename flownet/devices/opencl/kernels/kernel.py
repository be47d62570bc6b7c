"""A generated kernel: text, arguments, grid, and what it costs.

The contract between generators and compiler
--------------------------------------------
A generator is a pure function `(problem, target, epilogue) -> Kernel` (or `Steps`, where more than one launch is
needed). The kernel's `body` computes one work-group: C statements over the arguments' names and the work-group's
numbers `g0, g1, g2`. `source()` is a program with one `__kernel`, for a kernel that is tried or timed by itself; programs put
the bodies of many kernels together as they need (`interpreter`, `separate`).

Buffers are flat arrays of float32. Layouts of what a generator takes and gives are said in its docstring; the two of
activations are

* planar: `[n][c][h][w]`, plain NCHW;
* blocked: `[n][ceil(c / V)][h][w][V]` with `V = target.vector`. Padding of images is not stored. Channels past `c` are
  zero in every buffer of this layout; whoever writes one keeps them so (the convolutions here do when the epilogue
  maps zero to zero).

Row-major matrices are plain. Weights of convolutions come reordered (`layout.py`), once whenever they change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from flownet.devices.opencl.target import Target

__all__ = [
    "Argument",
    "Kernel",
    "Steps",
    "ceil_div",
    "halves",
    "identifier",
    "load_part",
    "preamble",
    "product",
    "store_part",
]


@dataclass(frozen=True)
class Argument:
    """One `__global` pointer of a kernel. `access` is "in", "out" or "inout"; `size` counts elements."""

    name: str
    access: str
    size: int
    ctype: str = "float"

    def declaration(self) -> str:
        const = "const " if self.access == "in" else ""
        return f"__global {const}{self.ctype}* restrict {self.name}"


@dataclass(frozen=True)
class Kernel:
    """One launch: `grid` work-groups of `local` work-items.

    flops and bytes are what the mathematics needs (a fused multiply-add counts 2; each operand once), whatever the
    variant does: a Winograd kernel may thus run at more than the device's peak.
    """

    name: str
    body: tuple[str, ...]
    arguments: tuple[Argument, ...]
    grid: tuple[int, int, int]
    preamble: tuple[str, ...] = ()
    local: tuple[int, int, int] = (1, 1, 1)
    flops: int = 0
    bytes: int = 0
    variant: str = ""
    attributes: str = ""

    def function(self) -> str:
        """The body as a function of the arguments and the work-group's numbers."""
        arguments = ", ".join(
            [a.declaration() for a in self.arguments] + ["const int g0", "const int g1", "const int g2"]
        )
        return "\n".join([f"{self.attributes} void {self.name}_group({arguments}) {{".lstrip(), *self.body, "}"])

    def call(self, g0: str, g1: str, g2: str) -> str:
        """The C statement that computes one work-group."""
        return f"{self.name}_group({', '.join([a.name for a in self.arguments] + [g0, g1, g2])});"

    def entry(self) -> str:
        """The `__kernel` alone: it needs preamble and function before it."""
        arguments = ", ".join(a.declaration() for a in self.arguments)
        x, y, z = self.local
        numbers = ("(int)get_group_id(0)", "(int)get_group_id(1)", "(int)get_group_id(2)")
        if self.local != (1, 1, 1):  # barriers and local memory want the body in the kernel itself
            lines = [f"const int g{i} = {number};" for i, number in enumerate(numbers)] + list(self.body)
        else:
            lines = [self.call(*numbers)]
        return "\n".join(
            [
                f"__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))",
                f"void {self.name}({arguments}) {{",
                *lines,
                "}",
            ]
        )

    def source(self) -> str:
        """The whole program."""
        parts = [*self.preamble, self.function(), self.entry()]
        if self.local != (1, 1, 1):
            parts = [*self.preamble, self.entry()]
        return "\n".join(parts) + "\n"

    def global_size(self) -> tuple[int, int, int]:
        """What `clEnqueueNDRangeKernel` takes."""
        return tuple(g * s for g, s in zip(self.grid, self.local, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Steps:
    """Kernels that run one after another. Arguments of the same name are the same buffer; `scratch` gives sizes, in
    floats, of those that are neither inputs nor outputs of the whole."""

    kernels: tuple[Kernel, ...]
    scratch: dict[str, int] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        return max(kernel.flops for kernel in self.kernels)

    @property
    def variant(self) -> str:
        return self.kernels[0].variant


def preamble(target: Target) -> str:
    """Types and loads of vectors that every CPU kernel uses.

    `vec` is the vector in registers, `vecu` the same at any address. `half` vectors (`hvec`) are what goes through
    built-in functions where `target.call_width` is below the width. `LANES` is 0, 1, 2, ...
    """
    v = target.vector
    lines = [
        *(f"typedef float part{n} __attribute__((ext_vector_type({n}), aligned(4)));" for n in (8, 4, 2) if n < v),
        f"#define LANES ((ivec)({', '.join(map(str, range(v)))}))",
        f"typedef float vec __attribute__((ext_vector_type({v})));",
        f"typedef float vecu __attribute__((ext_vector_type({v}), aligned(4)));",
        f"typedef int ivec __attribute__((ext_vector_type({v})));",
    ]
    if v == 16:
        lines += [
            "typedef float hvec __attribute__((ext_vector_type(8)));",
            "typedef int ihvec __attribute__((ext_vector_type(8)));",
        ]
    return "\n".join(lines)


def load_part(variable: str, pointer: str, count: str) -> list[str]:
    """C that declares a vector of the first `count` floats from `pointer`, and zeros. It reads a whole vector: behind every
    buffer there is memory for one (`memory.Region`), and what it holds is not looked at."""
    return [f"const vec {variable} = LANES < (ivec)({count}) ? *(__global const vecu*)({pointer}) : (vec)(0.0f);"]


def store_part(variable: str, pointer: str, count: str, target: Target) -> list[str]:
    """C that writes the first `count` lanes of a vector of floats: by halves where the number is known, else one by one."""
    if not count.isdigit():
        return [f"for (int l = 0; l < {count}; l++) ({pointer})[l] = {variable}[l];"]
    lines, left, done, width, rest = [], int(count), 0, target.vector, variable
    while left:
        width //= 2
        if left >= width:
            kind = f"*(__global part{width}*)" if width > 1 else "*"
            lines.append(f"{kind}({pointer} + {done}) = {rest}.lo;")
            left, done, rest = left - width, done + width, f"{rest}.hi"
        else:
            rest = f"{rest}.lo"
    return lines


def ceil_div(a: int, b: int) -> int:
    """`a / b`, rounded up."""
    return -(-a // b)


def identifier(*parts: object) -> str:
    """A name for a kernel out of words and numbers.

    >>> identifier("conv2d", "3x3", "k16")
    'conv2d_3x3_k16'
    """
    return re.sub(r"\W+", "_", "_".join(str(part) for part in parts))


def halves(number: int) -> list[int]:
    """The number, halved (and rounded up) again and again.

    >>> halves(12)
    [12, 6, 3, 2, 1]
    """
    out = [number]
    while out[-1] > 1:
        out.append(ceil_div(out[-1], 2))
    return out


def product(numbers: Iterable[int]) -> int:
    """All multiplied."""
    out = 1
    for number in numbers:
        out *= number
    return out
