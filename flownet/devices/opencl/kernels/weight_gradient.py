"""Direct weight gradient: dw[k, c, r, s] = sum over images and pixels of x[n, c, h * stride + r * dilation - padding,
...] * dy[n, k, h, w].

A tile is `lanes` x `columns` vectors of V filters: at each pixel it loads `columns` vectors of dy and broadcasts
`lanes` scalars of x, each at a constant distance (channels of one block; for a planar x, channels and taps). It stays
in registers over `rows` rows of one image, whose x and dy fit in the first cache. The sum over images is shared out
among `splits` work-groups for each block of filters, each with its own partial sums; `reduce_filters` (layout.py) adds
these and writes plain weights.

Partials: float32[splits][K blocks][C blocks][tap][channels of a block][columns * V]: `direct.filter_shape` for the
forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from flownet.devices.opencl.kernels.direct import copy_patch, filter_shape, patch_shape
from flownet.devices.opencl.kernels.epilogue import Prologue
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble, product
from flownet.devices.opencl.target import Target

__all__ = ["GradientTile", "gradient_tiles", "weight_gradient"]


@dataclass(frozen=True)
class GradientTile:
    """lanes x columns vectors; `whole`: a planar tile takes the taps of all rows of the filter, not of one."""

    lanes: int
    columns: int
    rows: int
    splits: int
    whole: bool = False


def gradient_tiles(p: Convolution, target: Target) -> list[GradientTile]:
    """Tiles worth trying, best first; none where the rows of x for a row of dy are more than a work-group can hold."""
    v = target.vector
    forward = TapConvolution.forward(p)
    blocks = ceil_div(p.filters, v)
    room = target.registers - 2
    shapes = []
    for columns in (1, 2, 3, 4):
        if blocks % columns or (p.groups > 1 and (columns > 1 and (p.filters // p.groups) % (columns * v))):
            continue
        if p.planar:
            one = p.channels * p.kernel[1]
            for lanes, whole in ((one * p.kernel[0], True), (one, False)):
                if lanes * columns + columns <= room:
                    shapes.append((lanes, columns, whole))
        else:
            c_block = filter_shape(forward, columns, target)[3]
            shapes += [
                (n, columns, False) for n in range(1, v + 1) if c_block % n == 0 and n * columns + columns <= room
            ]
    if not shapes:  # a planar image of many channels and wide filters: spilled registers are still right
        shapes = [(p.channels * p.kernel[1], 1, False)]
    cost = {
        s: max(1.0, (s[0] + s[1]) / (s[0] * s[1]), 8 / (s[0] * s[1])) + 0.2 * (s[0] + s[1]) / (s[0] * s[1])
        for s in shapes
    }
    shapes.sort(key=cost.__getitem__)
    high, wide = p.output
    out = []
    for lanes, columns, whole in shapes[:3]:
        rows = 1
        held = p.channels if p.planar else forward.input_blocks(columns * v, v)[1] * v
        for candidate in range(1, high + 1):
            ph, pw, _, _ = patch_shape(forward, candidate)
            channels = p.channels if p.planar else v
            size = 4 * (channels * ph * pw + candidate * wide * columns * v)
            fits = size <= target.l1 * 3 // 4 and 4 * held * ph * pw <= target.private_bytes
            if fits and ceil_div(high, candidate) < ceil_div(high, rows):
                rows = candidate
        if 4 * held * product(patch_shape(forward, rows)[:2]) > target.private_bytes:
            continue
        parts = filter_shape(forward, columns, target)[0]
        splits = min(ceil_div(4 * target.units, parts), p.batch * ceil_div(high, rows))
        out.append(GradientTile(lanes, columns, rows, splits, whole))
    return out


def weight_gradient(
    p: Convolution,
    target: Target,
    tile: GradientTile | None = None,
    prologue: Prologue | None = None,
    dy_prologue: Prologue | None = None,
) -> Kernel:
    """Partial sums `P` from `X` (blocked or planar) and `dY` (blocked)."""
    v = target.vector
    t = TapConvolution.forward(p)
    tile = tile or gradient_tiles(p, target)[0]
    columns, block = tile.columns, tile.columns * v
    k_blocks, c_blocks, n_taps, c_block, _ = filter_shape(t, columns, target)
    high, wide = p.output
    k_vectors = ceil_div(p.filters, v)
    patch_high, patch_wide, top, left = patch_shape(t, tile.rows)
    row_groups = ceil_div(high, tile.rows)
    total = p.batch * row_groups
    firsts, _ = t.input_blocks(block, v)
    per_kb = any(firsts)
    pixel, line = (1, patch_wide) if p.planar else (v, patch_wide * v)
    plane = patch_high * line
    (sh, sw), (dh, dw) = p.stride, p.dilation

    body = [
        f"float patch[{(p.channels if p.planar else c_blocks) * plane}] __attribute__((aligned(64)));",
        f"const int last = (g0 + 1) * {total} / {tile.splits}, begin = g0 * {total} / {tile.splits}, kb = g1;",
    ]
    if per_kb:
        body.append(f"const int firsts[{len(firsts)}] = {{{', '.join(map(str, firsts))}}};")
    body += [
        "for (int part = begin; part < last; part++) {",
        f"const int n = part / {row_groups}, i0 = part % {row_groups} * {tile.rows};",
        f"const int rows = min({tile.rows}, {high} - i0);",
    ]
    body += copy_patch(
        t, target, patch_high, patch_wide, top, left, c_blocks, "firsts[kb]" if per_kb else "0", prologue
    )
    image = high * wide * v
    body.append(
        f"__global const float* const dy = dY + ((size_t)n * {k_vectors} + kb * {columns}) * {image} +"
        f" (size_t)i0 * {wide * v};"
    )
    dy_step, dy_space = image, "__global const"
    if dy_prologue:
        dy_step, dy_space = tile.rows * wide * v, "const"
        body.append(f"float ds[{columns * dy_step}] __attribute__((aligned(64)));")
        body.append(f"for (int c = 0; c < {columns}; c++) {{")
        body += dy_prologue.load_operands(f"kb * {columns} + c", target)
        body += [
            f"for (int j = 0; j < rows * {wide}; j++) {{",
            f"__global const float* y = dy + c * {image} + j * {v};",
        ]
        body += dy_prologue.apply("result", "*(__global const vecu*)y", "(y - dY)", target)
        body.append(f"*(vec*)(ds + c * {dy_step} + j * {v}) = v_result; }} }}")
    out = f"P + (((size_t)g0 * {k_blocks} + kb) * {c_blocks * n_taps * c_block * block})"
    each = range(columns)
    if p.planar:
        rs = range(p.kernel[0]) if tile.whole else range(1)
        lanes = [
            (c * plane + r * dh * line + s * dw * pixel, ((r * p.kernel[1] + s) * c_block + c) * block)
            for r in rs
            for s in range(p.kernel[1])
            for c in range(p.channels)
        ]
        if tile.whole:
            body.append(f"{{ const float* const a0 = patch; __global float* const q = {out};")
        else:
            body += [
                f"for (int r = 0; r < {p.kernel[0]}; r++) {{ const float* const a0 = patch + r * {dh * line};",
                f"__global float* const q = {out} + r * {p.kernel[1] * c_block * block};",
            ]
    else:
        lanes = [(c, c * block) for c in range(tile.lanes)]
        body += [
            f"for (int cb = 0; cb < {c_blocks}; cb++) for (int r = 0; r < {p.kernel[0]}; r++)"
            f" for (int s = 0; s < {p.kernel[1]}; s++) for (int c = 0; c < {c_block}; c += {tile.lanes}) {{",
            f"const float* const a0 = patch + cb * {plane} + r * {dh * line} + s * {dw * pixel} + c;",
            f"__global float* const q = {out} + ((cb * {n_taps} + r * {p.kernel[1]} + s) * {c_block} + c) * {block};",
        ]
    body.append(f"vec {', '.join(f'c{i}_{c}' for i in range(len(lanes)) for c in each)};")
    body.append("if (part == begin) {")
    body += [f"c{i}_{c} = 0;" for i in range(len(lanes)) for c in each]
    body.append("} else {")
    body += [f"c{i}_{c} = *(__global vecu*)(q + {place + c * v});" for i, (_, place) in enumerate(lanes) for c in each]
    body.append("}")
    body += [
        "for (int i = 0; i < rows; i++) {",
        f"const float* a = a0 + i * {sh * line};",
        f"{dy_space} float* b = {'ds' if dy_prologue else 'dy'} + i * {wide * v};",
        f"__attribute__((opencl_unroll_hint(2))) for (int j = 0; j < {wide}; j++) {{",
    ]
    body += [f"const vec b{c} = *({dy_space} vecu*)(b + {c * dy_step});" for c in each]
    for i, (offset, _) in enumerate(lanes):
        body.append(f"{{ const float s = a[{offset}];")
        body += [f"c{i}_{c} = s * b{c} + c{i}_{c};" for c in each]
        body.append("}")
    body += [f"a += {sw * pixel}; b += {v};", "}", "}"]
    body += [f"*(__global vecu*)(q + {place + c * v}) = c{i}_{c};" for i, (_, place) in enumerate(lanes) for c in each]
    body += ["}", "}"]

    x_size = p.batch * (p.channels if p.planar else ceil_div(p.channels, v) * v) * p.height * p.width
    arguments = [
        Argument("X", "in", x_size),
        Argument("dY", "in", p.batch * k_vectors * image),
        *(dy_prologue.arguments(k_vectors * v, p.batch * k_vectors * image) if dy_prologue else ()),
        *(prologue.arguments(ceil_div(p.channels, v) * v, x_size) if prologue else ()),
        Argument("P", "out", tile.splits * k_blocks * c_blocks * n_taps * c_block * block),
    ]
    return Kernel(
        name=p.label("conv2d_dw"),
        preamble=(preamble(target),),
        body=tuple(body),
        arguments=tuple(arguments),
        grid=(tile.splits, k_blocks, 1),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"direct {len(lanes)}x{block} float{v}, {tile.rows} rows, {tile.splits} splits",
        attributes=target.attributes,
    )
