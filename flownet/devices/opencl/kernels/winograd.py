"""Winograd convolution F(m x m, 3 x 3), m = 2 or 4: forward, input gradient and weight gradient of stride-1 3x3
convolutions.

    y tile = A^T [ sum over c of (G w G^T) * (B^T x B) ] A          (* is elementwise; tiles of m + 2 by m + 2 in, m by
    m out) dw     = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

Multiplications fall by 2.25 (m = 2) or 4 (m = 4). A work-group takes T tiles through all three steps, so that
the transformed tiles stay in the second cache: transform them for all input channels, multiply for a block of output
channels at each of the (m + 2)^2 positions, transform back into the epilogue. Elements outside the image read as zero.

Transformed weights U: float32[K blocks][(m + 2)^2][C padded][columns * V], made by `filter_transform` whenever the
weights change.

Error: with inputs of unit variance F(4x4) is within about 1e-5 of the sum's scale, F(2x2) within 1e-6.
Source of the matrices: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016 (points 0, 1, -1, 2,
-2).
"""

from __future__ import annotations

from dataclasses import dataclass

from flownet.devices.opencl.kernels.cost import balanced, multiply_cycles, reading_cycles
from flownet.devices.opencl.kernels.epilogue import Epilogue, Prologue
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, halves, preamble, product
from flownet.devices.opencl.kernels.prefetch import PREFETCH, vectors_ahead
from flownet.devices.opencl.target import Target

__all__ = ["Tiling", "applies", "cycles", "filter_transform", "transformed_shape", "weight_gradient", "winograd"]

# each transform of one line: input names d[i] -> output expressions, in V-wide vectors
_INPUT = {
    2: ["d0 - d2", "d1 + d2", "d2 - d1", "d1 - d3"],
    4: [
        "4.0f * d0 - 5.0f * d2 + d4",
        "(d4 - 4.0f * d2) + (d3 - 4.0f * d1)",
        "(d4 - 4.0f * d2) - (d3 - 4.0f * d1)",
        "(d4 - d2) + 2.0f * (d3 - d1)",
        "(d4 - d2) - 2.0f * (d3 - d1)",
        "4.0f * d1 - 5.0f * d3 + d5",
    ],
}
_OUTPUT = {
    2: ["d0 + d1 + d2", "d1 - d2 - d3"],
    4: [
        "d0 + (d1 + d2) + (d3 + d4)",
        "(d1 - d2) + 2.0f * (d3 - d4)",
        "(d1 + d2) + 4.0f * (d3 + d4)",
        "(d1 - d2) + 8.0f * (d3 - d4) + d5",
    ],
}
_FILTER = {
    2: ["d0", "0.5f * (d0 + d2) + 0.5f * d1", "0.5f * (d0 + d2) - 0.5f * d1", "d2"],
    4: [
        "0.25f * d0",
        "(-1.0f / 6) * (d0 + d2) - (1.0f / 6) * d1",
        "(-1.0f / 6) * (d0 + d2) + (1.0f / 6) * d1",
        "(1.0f / 24) * d0 + (1.0f / 6) * d2 + (1.0f / 12) * d1",
        "(1.0f / 24) * d0 + (1.0f / 6) * d2 - (1.0f / 12) * d1",
        "d2",
    ],
}
_GRADIENT = {  # A: lines of dy into m + 2
    2: ["d0", "d0 + d1", "d0 - d1", "-d1"],
    4: [
        "d0",
        "(d0 + d2) + (d1 + d3)",
        "(d0 + d2) - (d1 + d3)",
        "(d0 + 4.0f * d2) + (2.0f * d1 + 8.0f * d3)",
        "(d0 + 4.0f * d2) - (2.0f * d1 + 8.0f * d3)",
        "d3",
    ],
}
_FILTER_GRADIENT = {  # G^T: m + 2 into 3
    2: ["d0 + 0.5f * (d1 + d2)", "0.5f * (d1 - d2)", "0.5f * (d1 + d2) + d3"],
    4: [
        "0.25f * d0 - (1.0f / 6) * (d1 + d2) + (1.0f / 24) * (d3 + d4)",
        "(1.0f / 6) * (d2 - d1) + (1.0f / 12) * (d3 - d4)",
        "(1.0f / 6) * (d3 + d4 - d1 - d2) + d5",
    ],
}

_TRANSFORM = 200  # cycles to transform a tile of V channels in or out
_L2_RATE = 32  # bytes a cycle from the second cache


@dataclass(frozen=True)
class Tiling:
    """m: outputs a side. A register tile is `tiles` x `columns` vectors; a work-group takes `subtiles` of them, and
    `blocks` blocks of columns * V output channels."""

    m: int
    tiles: int
    columns: int
    subtiles: int
    blocks: int

    @property
    def positions(self) -> int:
        return (self.m + 2) ** 2


def applies(p: TapConvolution) -> bool:
    """Whether `p` is a dense 3x3 convolution of stride 1 without dilation."""
    if p.planar or p.groups != 1 or len(p.classes) != 1 or p.in_stride != (1, 1) or p.out_stride != (1, 1):
        return False
    offsets = {(t[0], t[1]) for t in p.taps}
    top, left = min(p.taps)[:2]
    return len(p.taps) == 9 and offsets == {(top + i, left + j) for i in range(3) for j in range(3)}


def transformed_shape(p: TapConvolution, tiling: Tiling, target: Target) -> tuple[int, int, int, int]:
    """Shape of U."""
    v = target.vector
    return ceil_div(p.output[0], tiling.columns * v), tiling.positions, ceil_div(p.input[0], v) * v, tiling.columns * v


def _grid(p: TapConvolution, m: int) -> tuple[int, int]:
    return ceil_div(p.output[1], m), ceil_div(p.output[2], m)


def tilings(p: TapConvolution, target: Target) -> list[Tiling]:
    """Tilings worth trying, best first."""
    shapes = [
        Tiling(m, tiles, columns, subtiles, blocks)
        for m in (4, 2)
        for columns, tiles in _register_tiles(p, m, target)
        for subtiles in (1, 2, 4, 8)
        for blocks in halves(ceil_div(p.output[0], columns * target.vector))
    ]
    best: dict[tuple[int, int, int], Tiling] = {}
    for tiling in sorted((t for t in shapes if _fits(p, t, target)), key=lambda t: cycles(p, t, target)):
        best.setdefault((tiling.m, tiling.columns, tiling.tiles), tiling)
    return list(best.values())[:4]


def _register_tiles(p: TapConvolution, m: int, target: Target) -> list[tuple[int, int]]:
    """(columns, tiles) of register tiles: a small one, and the largest of which a small image leaves little unused."""
    high, wide = _grid(p, m)
    total = p.batch * high * wide
    large = 14 if target.registers >= 32 else 6
    even = ceil_div(total, ceil_div(total, large))
    pairs = [(1, min(total, 16 if target.registers >= 32 else 12))]
    if ceil_div(p.output[0], target.vector) % 2 == 0:
        pairs += [(2, tiles) for tiles in {min(total, 8 if target.registers >= 32 else 6), min(total, large), even}]
    return pairs


def _fits(p: TapConvolution, tiling: Tiling, target: Target) -> bool:
    """Whether a work-group needs no more tiles than there are, nor more private memory than a thread's stack gives."""
    high, wide = _grid(p, tiling.m)
    group, channels = tiling.tiles * tiling.subtiles, ceil_div(p.input[0], target.vector) * target.vector
    private = 4 * tiling.positions * group * (channels + tiling.columns * target.vector)
    return (tiling.subtiles == 1 or group < p.batch * high * wide + tiling.tiles) and private <= target.private_bytes


def cycles(p: TapConvolution, tiling: Tiling, target: Target) -> float:
    """Cycles of one core for all of it: what the busiest core does, times the cores.

    A work-group transforms its tiles, 200 cycles for each of V channels; then, for each block, it multiplies, or waits for
    the weights where these take longer; and it transforms back. Fitted to 25 shapes on a Sapphire Rapids, with up to 28
    tilings each: the one that this puts first takes 1.02 times as long as the best one, in the geometric mean.
    """
    v, columns, positions = target.vector, tiling.columns, tiling.positions
    high, wide = _grid(p, tiling.m)
    total, group = p.batch * high * wide, tiling.tiles * tiling.subtiles
    c_blocks, k_blocks = ceil_div(p.input[0], v), ceil_div(p.output[0], columns * v)
    groups = ceil_div(total, group)
    weights = 4 * positions * c_blocks * v * columns * v  # of a block
    inputs, outputs = 4 * positions * group * c_blocks * v, 4 * positions * group * columns * v  # transformed, in bytes
    lanes = tiling.tiles * columns
    crowded = (1 + 0.01 * max(0, lanes - 20)) * (
        1.15 if columns == 1 else 1.0
    )  # few registers left; a load for each product
    multiply = crowded * multiply_cycles(group * positions * c_blocks * v * columns, target)
    multiply += (weights + inputs) / _L2_RATE
    if inputs + outputs > target.l2 // 4:
        multiply *= 1.15
    reading = reading_cycles(weights * k_blocks, groups, target) / (groups * k_blocks)
    block = max(multiply, reading) + min(group, total) * columns * _TRANSFORM
    count = balanced(groups * ceil_div(k_blocks, tiling.blocks), target)
    return count * (min(group, total) * c_blocks * _TRANSFORM + tiling.blocks * block)


def _load_lines(
    m: int,
    kind: dict[int, list[str]],
    target: Target,
    image: tuple[int, int, int],
    size: int,
    x: str,
    prologue: Prologue | None,
) -> list[str]:
    """C that transforms the tile of `size` x `size` pixels at (y0, x0) of channel block `cb` of image n of buffer `x`,
    into `line[i * size + j]`: columns first, elements outside the image as zero."""
    v = target.vector
    channels, high, wide = image
    blocks = ceil_div(channels, v)
    pointer = f"(long)((n * {blocks} + cb) * {high} + y0) * {wide * v} + (long)(x0 + j) * {v}"
    lines = [
        f"for (int j = 0; j < {size}; j++) {{",
        f"if (x0 + j < 0 || x0 + j >= {wide})"
        f" {{ for (int i = 0; i < {m + 2}; i++) line[i * {size} + j] = 0; continue; }}",
        f"__global const float* p = {x} + ({pointer});",
    ]
    for i in range(size):
        load = f"*(__global const vecu*)(p + {i * wide * v})"
        inside = f"y0 + {i} >= 0 && y0 + {i} < {high}"
        if prologue is None:
            lines.append(f"const vec d{i} = {inside} ? {load} : (vec)(0.0f);")
        else:
            lines.append(f"vec d{i} = 0; if ({inside}) {{")
            lines += [*prologue.apply("result", load, f"(p - {x}) + {i * wide * v}", target), f"d{i} = v_result; }}"]
    lines += [f"line[{i * size} + j] = {text};" for i, text in enumerate(kind[m])]
    return [*lines, "}"]


def _transform_tile(
    m: int,
    kind: dict[int, list[str]],
    target: Target,
    image: tuple[int, int, int],
    size: int,
    x: str,
    store: str,
    prologue: Prologue | None,
) -> list[str]:
    """Both passes; `store` is a format with {pos}."""
    lines = prologue.load_operands("cb", target) if prologue else []
    lines += _load_lines(m, kind, target, image, size, x, prologue)
    lines.append(f"for (int i = 0; i < {m + 2}; i++) {{")
    lines += [f"const vec d{j} = line[i * {size} + {j}];" for j in range(size)]
    lines += [store.format(pos=f"(i * {m + 2} + {j})") + f" = {text};" for j, text in enumerate(kind[m])]
    return [*lines, "}"]


def _locate(p: TapConvolution, m: int, total: int, tile: str) -> list[str]:
    high, wide = _grid(p, m)
    return [
        f"const int at = {tile};",
        f"const int n = at / {high * wide}, ty = at / {wide} % {high}, tx = at % {wide};",
    ]


def winograd(
    p: TapConvolution,
    target: Target,
    epilogue: Epilogue = Epilogue(),
    tiling: Tiling | None = None,
    prologue: Prologue | None = None,
) -> Kernel:
    """`Y = epilogue(X * w)` with U of `filter_transform`: X, Y blocked. One row of partial sums a work-group of
    tiles."""
    v = target.vector
    tiling = tiling or tilings(p, target)[0]
    m, size, columns = tiling.m, tiling.m + 2, tiling.columns
    block = columns * v
    high, wide = _grid(p, m)
    total = p.batch * high * wide
    group = tiling.tiles * tiling.subtiles
    groups = ceil_div(total, group)
    k_blocks, positions, channels, _ = transformed_shape(p, tiling, target)
    c_blocks = channels // v
    (_, in_high, in_wide), (filters, out_high, out_wide) = p.input, p.output
    k_vectors = ceil_div(filters, v)
    top, left = min(p.taps)[:2]

    # one vector more than needed: a stride of 4 KiB would put every position into the same few lines of the first cache
    x_stride, m_stride = channels * group + v, group * block + v
    x_store = f"*(vec*)(xs + {{pos}} * {x_stride} + (cb * {group} + t) * {v})"
    body = [
        f"float xs[{positions * x_stride}] __attribute__((aligned(64)));",
        f"float ms[{positions * m_stride}] __attribute__((aligned(64)));",
        f"vec line[{positions}];",
        f"const int first = g0 * {group}, count = min({group}, {total} - first);",
        "for (int t = 0; t < count; t++) {",
        *_locate(p, m, total, "first + t"),
        f"const int y0 = ty * {m} + {top}, x0 = tx * {m} + {left};",
        f"for (int cb = 0; cb < {c_blocks}; cb++) {{",
        *_transform_tile(m, _INPUT, target, p.input, size, "X", x_store, prologue),
        "}",
        "}",
    ]
    if total % group:  # tiles past the last are computed from zeros and not stored
        body.append(
            f"for (int pos = 0; pos < {positions}; pos++) for (int cb = 0; cb < {c_blocks}; cb++)"
            f" for (int t = count; t < {group}; t++) *(vec*)(xs + pos * {x_stride} + (cb * {group} + t) * {v}) = 0;"
        )
    each = range(columns)
    ahead = vectors_ahead(4 * product(transformed_shape(p, tiling, target)), v * columns, tiling.subtiles)
    body.append(f"for (int kb = g1 * {tiling.blocks}; kb < min({k_blocks}, (g1 + 1) * {tiling.blocks}); kb++) {{")
    body += [
        f"for (int pos = 0; pos < {positions}; pos++) for (int t = 0; t < {group}; t += {tiling.tiles}) {{",
        f"__global const float* b = U + ((size_t)kb * {positions} + pos) * {channels * block};",
        f"const float* a0 = xs + pos * {x_stride} + t * {v};",
    ]
    body += [f"vec c{i}_{c} = 0;" for i in range(tiling.tiles) for c in each]
    body += [
        f"for (int cb = 0; cb < {c_blocks}; cb++) {{",
        f"const float* a = a0 + cb * {group * v};",
        *(f"PREFETCH(b + t / {tiling.tiles} * {ahead * v} + {channels * block + n * v});" for n in range(ahead)),
        f"__attribute__((opencl_unroll_hint(4))) for (int c = 0; c < {v}; c++) {{",
    ]
    body += [f"const vec b{c} = *(__global const vecu*)(b + {c * v});" for c in each]
    for i in range(tiling.tiles):
        body.append(f"{{ const float s = a[{i * v}];")
        body += [f"c{i}_{c} = s * b{c} + c{i}_{c};" for c in each]
        body.append("}")
    body += [f"a++; b += {block};", "}", "}"]
    body += [
        f"*(vec*)(ms + pos * {m_stride} + (t + {i}) * {block} + {c * v}) = c{i}_{c};"
        for i in range(tiling.tiles)
        for c in each
    ]
    body.append("}")
    body += epilogue.begin(columns, f"kb * {block}", filters, target)
    body += ["for (int t = 0; t < count; t++) {", *_locate(p, m, total, "first + t")]
    for c in each:
        body += [
            f"for (int j = 0; j < {size}; j++) {{",
            f"const float* q = ms + j * {m_stride} + t * {block} + {c * v};",
        ]
        body += [f"const vec d{i} = *(const vec*)(q + {i * size * m_stride});" for i in range(size)]
        body += [f"line[{i * size} + j] = {text};" for i, text in enumerate(_OUTPUT[m])]
        body += ["}", f"for (int i = 0; i < {m}; i++) {{", f"const int y = ty * {m} + i;"]
        if out_high % m:
            body.append(f"if (y >= {out_high}) break;")
        body += [f"const vec d{j} = line[i * {size} + {j}];" for j in range(size)]
        row = f"(((size_t)n * {k_vectors} + kb * {columns} + {c}) * {out_high} + y) * {out_wide} + tx * {m}"
        body.append(f"const size_t at_row = {row};")
        for j, text in enumerate(_OUTPUT[m]):
            if out_wide % m and j:
                body.append(f"if (tx * {m} + {j} < {out_wide}) {{")
            body += epilogue.store(text, f"(at_row + {j}) * {v}", target, c)
            if out_wide % m and j:
                body.append("}")
        body.append("}")
    body.append("}")
    body += epilogue.end(columns, "g0", f"kb * {block}", k_vectors * v, v)
    body.append("}")
    x_size = p.batch * channels * in_high * in_wide
    y_size = p.batch * k_vectors * v * out_high * out_wide
    inputs = (Argument("X", "in", x_size), Argument("U", "in", k_blocks * positions * channels * block))
    extra = prologue.arguments(channels, x_size) if prologue else ()
    return Kernel(
        name=p.label + f"_winograd{m}",
        preamble=(preamble(target), PREFETCH),
        body=tuple(body),
        arguments=(*inputs, *extra, *epilogue.arguments(y_size, filters, groups, k_vectors * v)),
        grid=(groups, ceil_div(k_blocks, tiling.blocks), 1),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"winograd F({m}x{m}) {tiling.tiles}x{block} float{v}, {group} tiles x {tiling.blocks} blocks",
        attributes=target.attributes,
    )


def filter_transform(p: TapConvolution, tiling: Tiling, target: Target, *, transposed: bool = False) -> Kernel:
    """U from W, the plain weights `[k][c][3][3]` of the forward convolution; `transposed`: for its input gradient."""
    v = target.vector
    m, size, columns = tiling.m, tiling.m + 2, tiling.columns
    block = columns * v
    k_blocks, positions, channels, _ = transformed_shape(p, tiling, target)
    outs, ins = p.output[0], p.input[0]
    top, left = min(p.taps)[:2]
    index = {(t[0] - top, t[1] - left): t[2] for t in p.taps}
    out_stride, in_stride = (9, outs * 9) if transposed else (ins * 9, 9)
    body = [
        f"const int k0 = g0 * {v}, count = min({v}, {outs} - k0);",
        f"for (int c = 0; c < {channels}; c++) {{",
        f"vec w[9], line[{size * 3}];",
        "for (int i = 0; i < 9; i++) w[i] = 0;",
        f"if (c < {ins}) for (int l = 0; l < count; l++) {{",
        f"__global const float* q = W + (size_t)(k0 + l) * {out_stride} + (size_t)c * {in_stride};",
        "float* lane = (float*)w + l;",
        f"for (int i = 0; i < 9; i++) lane[i * {v}] = q[i];",
        "}",
    ]
    for j in range(3):
        body.append("{")
        body += [f"const vec d{i} = w[{index[i, j]}];" for i in range(3)]
        body += [f"line[{i * 3 + j}] = {text};" for i, text in enumerate(_FILTER[m])]
        body.append("}")
    place = f"((size_t)(g0 / {columns}) * {positions} + {{pos}}) * {channels * block}"
    place += f" + (size_t)c * {block} + g0 % {columns} * {v}"
    body.append(f"for (int i = 0; i < {size}; i++) {{")
    body += [f"const vec d{j} = line[i * 3 + {j}];" for j in range(3)]
    body += [
        f"*(__global vecu*)(U + {place.format(pos=f'(i * {size} + {j})')}) = {text};"
        for j, text in enumerate(_FILTER[m])
    ]
    body += ["}", "}"]
    u_size = k_blocks * positions * channels * block
    return Kernel(
        name=p.label + f"_filter{m}",
        preamble=(preamble(target),),
        body=tuple(body),
        arguments=(Argument("W", "in", outs * ins * 9), Argument("U", "out", u_size)),
        grid=(ceil_div(outs, v), 1, 1),
        flops=0,
        bytes=4 * (outs * ins * 9 + u_size),
        variant=f"filter transform F({m}x{m})",
        attributes=target.attributes,
    )


@dataclass(frozen=True)
class GradientTiling:
    """A register tile of the product is `lanes` input channels x `columns` vectors of filters; a work-group takes
    `group` tiles of the image at a time, 1 / `splits` of all, and `blocks` blocks of columns * V filters."""

    m: int
    lanes: int
    columns: int
    group: int
    splits: int
    blocks: int


def gradient_tilings(p: Convolution, target: Target) -> list[GradientTiling]:
    """Tilings worth trying, best first."""
    v = target.vector
    blocks = ceil_div(p.filters, v)
    columns = 2 if blocks % 2 == 0 else 1
    lanes = 8 if columns == 2 or target.registers < 32 else 16
    if target.registers < 32:
        lanes = 4
    channels = ceil_div(p.channels, v) * v
    out = []
    for m in (4, 2):
        high, wide = ceil_div(p.output[0], m), ceil_div(p.output[1], m)
        total = p.batch * high * wide
        share = blocks // columns
        while share > 1 and 4 * (m + 2) ** 2 * channels * share * columns * v > target.l2 // 3:
            share = ceil_div(share, 2)  # the sums of a work-group are to stay in the second cache
        group = 8
        width = channels + share * columns * v
        while 4 * (m + 2) ** 2 * group * 2 * width <= target.l2 // 2 and group * 2 * 4 * target.units <= total:
            group *= 2
        parts = ceil_div(blocks // columns, share)
        if 4 * (m + 2) ** 2 * (group * width + 2 * v) > target.private_bytes:
            continue
        splits = max(1, min(ceil_div(4 * target.units, parts), total // group))
        out.append(GradientTiling(m, lanes, columns, group, splits, share))
    return out


def gradient_cycles(p: Convolution, tiling: GradientTiling, target: Target) -> float:
    """Cycles of one core for the weight gradient: the products, of which the sums of each position are read and written
    again and again, and the transforms of both images."""
    v, m = target.vector, tiling.m
    count = p.batch * ceil_div(p.output[0], m) * ceil_div(p.output[1], m)
    c_blocks, k_blocks = ceil_div(p.channels, v), ceil_div(p.filters, v)
    products = multiply_cycles(count * (m + 2) ** 2 * c_blocks * v * k_blocks, target)
    return 1.3 * (products + count * (c_blocks + k_blocks) * (200 if m == 4 else 130))


def weight_gradient(
    p: Convolution,
    target: Target,
    tiling: GradientTiling | None = None,
    prologue: Prologue | None = None,
    dy_prologue: Prologue | None = None,
) -> Kernel:
    """Partial sums `P`, float32[splits][(m + 2)^2][K blocks][C padded][columns * V], of the transformed weight
    gradient, from blocked `X` and `dY`. `reduce_gradient` adds them and transforms back."""
    v = target.vector
    t = TapConvolution.forward(p)
    tiling = tiling or gradient_tilings(p, target)[0]
    m, size, columns, group = tiling.m, tiling.m + 2, tiling.columns, tiling.group
    positions, block = size * size, columns * v
    high, wide = _grid(t, m)
    total = p.batch * high * wide
    c_blocks, k_vectors = ceil_div(p.channels, v), ceil_div(p.filters, v)
    k_blocks, channels = k_vectors // columns, c_blocks * v
    top, left = min(t.taps)[:2]
    share = tiling.blocks
    x_stride, d_stride = c_blocks * group * v + v, share * columns * group * v + v
    parts = positions * k_blocks * channels * block
    x_store = f"*(vec*)(xs + {{pos}} * {x_stride} + (cb * {group} + t) * {v})"
    body = [
        f"float xs[{positions * x_stride}] __attribute__((aligned(64)));",
        f"float ds[{positions * d_stride}] __attribute__((aligned(64)));",
        f"vec line[{positions}];",
        f"const int begin = (long)g0 * {total} / {tiling.splits}, last = (long)(g0 + 1) * {total} / {tiling.splits};",
        f"const int kb0 = g1 * {share}, kb1 = min({k_blocks}, kb0 + {share});",
        f"for (int first = begin; first < last; first += {group}) {{",
        f"const int count = min({group}, last - first);",
        "for (int t = 0; t < count; t++) {",
        *_locate(t, m, total, "first + t"),
        "{",
        f"const int y0 = ty * {m} + {top}, x0 = tx * {m} + {left};",
        f"for (int cb = 0; cb < {c_blocks}; cb++) {{",
        *_transform_tile(m, _INPUT, target, t.input, size, "X", x_store, prologue),
        "}",
        "}",
        f"const int y0 = ty * {m}, x0 = tx * {m};",
        f"for (int cb = kb0 * {columns}; cb < kb1 * {columns}; cb++) {{",
        *_transform_tile(
            m,
            _GRADIENT,
            target,
            t.output,
            m,
            "dY",
            f"*(vec*)(ds + {{pos}} * {d_stride} + ((cb / {columns} - kb0) * {group} + t) * {block} + cb %"
            f" {columns} * {v})",
            dy_prologue,
        ),
        "}",
        "}",
        f"for (int pos = 0; pos < {positions}; pos++) for (int kb = kb0; kb < kb1; kb++)"
        f" for (int c = 0; c < {channels}; c += {tiling.lanes}) {{",
        f"const float* a = xs + pos * {x_stride} + c / {v} * {group * v} + c % {v};",
        f"const float* b = ds + pos * {d_stride} + (kb - kb0) * {group * block};",
        f"__global float* const q = P + (size_t)g0 * {parts} + ((pos * {k_blocks} + kb) * {channels} + c) * {block};",
    ]
    each = [(i, c) for i in range(tiling.lanes) for c in range(columns)]
    body.append(f"vec {', '.join(f'c{i}_{c}' for i, c in each)};")
    body.append("if (first == begin) {")
    body += [f"c{i}_{c} = 0;" for i, c in each]
    body.append("} else {")
    body += [f"c{i}_{c} = *(__global vecu*)(q + {i * block + c * v});" for i, c in each]
    body.append("}")
    body.append("__attribute__((opencl_unroll_hint(2))) for (int t = 0; t < count; t++) {")
    body += [f"const vec b{c} = *(const vec*)(b + {c * v});" for c in range(columns)]
    for i in range(tiling.lanes):
        body.append(f"{{ const float s = a[{i}];")
        body += [f"c{i}_{c} = s * b{c} + c{i}_{c};" for c in range(columns)]
        body.append("}")
    body += [f"a += {v}; b += {block};", "}"]
    body += [f"*(__global vecu*)(q + {i * block + c * v}) = c{i}_{c};" for i, c in each]
    body += ["}", "}"]
    x_size = p.batch * channels * p.height * p.width
    dy_size = p.batch * k_vectors * v * p.output[0] * p.output[1]
    return Kernel(
        name=p.label("conv2d_dw") + f"_winograd{m}",
        preamble=(preamble(target),),
        body=tuple(body),
        arguments=(
            Argument("X", "in", x_size),
            Argument("dY", "in", dy_size),
            *(prologue.arguments(channels, x_size) if prologue else ()),
            *(dy_prologue.arguments(k_vectors * v, dy_size) if dy_prologue else ()),
            Argument("P", "out", tiling.splits * parts),
        ),
        grid=(tiling.splits, ceil_div(k_blocks, share), 1),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"winograd F({m}x{m}) {tiling.lanes}x{block} float{v}, {group} tiles, {tiling.splits} splits",
        attributes=target.attributes,
    )


def reduce_gradient(p: Convolution, target: Target, tiling: GradientTiling) -> Kernel:
    """`dW`, plain `[k][c][3][3]`, from the partial sums of `weight_gradient`."""
    v = target.vector
    m, size, columns = tiling.m, tiling.m + 2, tiling.columns
    positions, block = size * size, columns * v
    c_blocks, k_vectors = ceil_div(p.channels, v), ceil_div(p.filters, v)
    k_blocks, channels = k_vectors // columns, c_blocks * v
    parts = positions * k_blocks * channels * block
    body = [
        f"const int k0 = g1 * {v}, count = min({v}, {p.filters} - k0);",
        f"for (int c = g0 * {v}; c < min({p.channels}, (g0 + 1) * {v}); c++) {{",
        f"vec u[{positions}], line[{3 * size}], w[9];",
        f"__global const float* q = P + ((size_t)(g1 / {columns}) * {channels} + c) * {block} + g1 % {columns} * {v};",
        f"for (int pos = 0; pos < {positions}; pos++) {{",
        "vec sum = 0;",
        f"for (int s = 0; s < {tiling.splits}; s++)"
        f" sum += *(__global const vecu*)(q + (size_t)s * {parts} + pos * {k_blocks * channels * block});",
        "u[pos] = sum;",
        "}",
        f"for (int j = 0; j < {size}; j++) {{",
    ]
    body += [f"const vec d{i} = u[{i * size} + j];" for i in range(size)]
    body += [f"line[{i * size} + j] = {text};" for i, text in enumerate(_FILTER_GRADIENT[m])]
    body += ["}", "for (int i = 0; i < 3; i++) {"]
    body += [f"const vec d{j} = line[i * {size} + {j}];" for j in range(size)]
    body += [f"w[i * 3 + {j}] = {text};" for j, text in enumerate(_FILTER_GRADIENT[m])]
    body += [
        "}",
        "for (int l = 0; l < count; l++) for (int i = 0; i < 9; i++)",
        f"dW[((size_t)(k0 + l) * {p.channels} + c) * 9 + i] = ((const float*)w)[i * {v} + l];",
        "}",
    ]
    return Kernel(
        name=p.label("conv2d_dw") + f"_reduce{m}",
        preamble=(preamble(target),),
        body=tuple(body),
        arguments=(
            Argument("P", "in", tiling.splits * parts),
            Argument("dW", "out", p.filters * p.channels * 9),
        ),
        grid=(c_blocks, k_vectors, 1),
        bytes=4 * (tiling.splits * parts + p.filters * p.channels * 9),
        variant=f"winograd F({m}x{m}) gradient reduction",
        attributes=target.attributes,
    )
