"""Random numbers: Philox4x32-10, which makes four of a counter, to the bit as `flownet.ops.random.random_uniform` defines them.

On a CPU a vector of counters at a time. Its 32-bit products come from multiplications of 64 bits, of the even and of the odd
lanes: a whole vector has no instruction for the upper halves.
"""

from __future__ import annotations

from flownet.devices.opencl.kernels.each import each
from flownet.devices.opencl.kernels.elementwise import FlatKernel
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble
from flownet.devices.opencl.target import Target

__all__ = ["uniform"]

_ALONE = 1 << 12  # numbers, a few microseconds, that one work-group makes

_PHILOX = """
uint4 philox(uint4 c, uint2 k) {
    for (int round = 0; round < 10; round++) {
        const uint ph = mul_hi(0xD2511F53u, c.x), pl = 0xD2511F53u * c.x;
        const uint qh = mul_hi(0xCD9E8D57u, c.z), ql = 0xCD9E8D57u * c.z;
        c = (uint4)(qh ^ c.y ^ k.x, ql, ph ^ c.w ^ k.y, pl);
        k += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
"""


def uniform(count: int, target: Target) -> Kernel:
    """`y`, `count` numbers of the state `rng` (seed, step) and of `stream` (one number)."""
    arguments = (Argument("rng", "in", 2, "uint"), Argument("stream", "in", 1, "uint"), Argument("y", "out", count))
    if target.kind == "gpu":
        lines = ["const uint4 w = philox((uint4)((uint)i, rng[1], 0u, 0u), (uint2)(rng[0], stream[0]));"]
        lines += [f"if (4 * i + {n} < {count}) y[4 * i + {n}] = (float)(w.s{n} >> 8) * 0x1p-24f;" for n in range(4)]
        return each("uniform", lines, arguments, ceil_div(count, 4), target, functions=(_PHILOX,), variant="counters")
    v = target.vector
    blocks = ceil_div(count, 4 * v)
    groups = 1 if count <= _ALONE else min(blocks, 8 * target.units)
    piece = ceil_div(blocks, groups)
    body = [
        f"for (int i = g0 * g1; i < min((g0 + 1) * g1, (g2 + {4 * v - 1}) / {4 * v}); i++) {{",
        f"uvec c0 = as_uint{v}(LANES) + (uint)(i * {v}), c1 = (uvec)(rng[1]), c2 = 0, c3 = 0;",
        "uint k0 = rng[0], k1 = stream[0];",
        "for (int round = 0; round < 10; round++) {",
        "uvec ph, pl, qh, ql;",
        "MULTIPLY(c0, 0xD2511F53ul, ph, pl);",
        "MULTIPLY(c2, 0xCD9E8D57ul, qh, ql);",
        "c0 = qh ^ c1 ^ k0; c1 = ql; c2 = ph ^ c3 ^ k1; c3 = pl;",
        "k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;",
        "}",
        *(line for n in range(4) for line in _number(f"w{n}", f"as_int{v}(c{n} >> 8)", target)),
    ]
    body += [line for a in range(2) for line in _interleaved(f"a{a}", f"w{a}", f"w{a + 2}")]
    body += [line for b in ("lo", "hi") for line in _interleaved(f"y{b}", f"a0{b}", f"a1{b}")]
    parts = ("ylolo", "ylohi", "yhilo", "yhihi")
    body += [
        f"const int at = i * {4 * v};",
        f"if (at + {4 * v} <= g2) {{",
        *(f"*(__global vecu*)(y + at + {n * v}) = {part};" for n, part in enumerate(parts)),
        "} else {",
        f"const vec parts[4] = {{{', '.join(parts)}}};",
        "for (int l = 0; l < g2 - at; l++) y[at + l] = ((const float*)parts)[l];",
        "}",
        "}",
    ]
    return FlatKernel(
        "uniform", tuple(body), arguments, (ceil_div(blocks, piece), 1, 1), (preamble(target), _multiply(v)), bytes=4 * count,
        variant=f"{v} counters at a time", attributes=target.attributes, piece=piece, count=count,
    )  # fmt: skip


def _multiply(v: int) -> str:
    """C that has both halves of the products of 32-bit numbers."""
    return f"""
typedef uint uvec __attribute__((ext_vector_type({v})));
#define LOWER 0xfffffffful
#define MULTIPLY(x, factor, high, low) {{ \\
    const ulong{v // 2} pairs = as_ulong{v // 2}(x), even = (pairs & LOWER) * factor, odd = (pairs >> 32) * factor; \\
    high = as_uint{v}((even >> 32) | (odd & ~LOWER)); \\
    low = as_uint{v}((even & LOWER) | (odd << 32)); \\
}}
"""


def _number(result: str, whole: str, target: Target) -> list[str]:
    """C for the floats that 24 bits stand for."""
    v = target.vector
    if target.call_width < v:
        halves = [f"{result}.{half} = convert_float{v // 2}({result}i.{half}) * 0x1p-24f;" for half in ("lo", "hi")]
        return [f"const ivec {result}i = {whole}; vec {result};", *halves]
    return [f"const vec {result} = convert_float{v}({whole}) * 0x1p-24f;"]


def _interleaved(result: str, first: str, second: str) -> list[str]:
    """C for the lanes of two vectors in turn, as the vectors <result>lo and <result>hi."""
    return [
        f"vec {result}{half}; {result}{half}.even = {first}.{half}; {result}{half}.odd = {second}.{half};"
        for half in ("lo", "hi")
    ]
