"""Direct convolution over blocked layouts: forward, input gradient, transposed convolution.

One work-group computes some rows of one image for some blocks of output channels. It first copies the input rows that
it needs, padded with zeros, into private memory (`patch`); every tile reads that with constant strides, so that
borders cost no branch, padding is not stored, and a prologue (normalise, activate) is applied once an element. For 16
channels the copy is 1 to 2% of the work. A tile is `pixels` x `columns` vectors of V output channels in registers: for
each input channel it loads `columns` vectors of weights and broadcasts `pixels` scalars. The last tile of a row is
moved back so that it stays inside; what it computes twice is not stored twice.

Weights: float32[K blocks][C blocks][tap][V channels][columns * V], see `layout.reorder_filters`.
"""

from __future__ import annotations

from dataclasses import dataclass

from flownet.devices.opencl.kernels.epilogue import Epilogue, Prologue
from flownet.devices.opencl.kernels.geometry import TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble
from flownet.devices.opencl.target import Target

__all__ = ["Tile", "direct", "filter_shape", "partial_rows", "tiles"]


@dataclass(frozen=True)
class Tile:
    """pixels x columns vectors in registers; `rows` of a class of pixels and `blocks` of columns * V channels a
    work-group. With `lines` > 1 the pixels are that many whole rows: weights of narrow images, which have many
    channels, are then read less often."""

    pixels: int
    columns: int
    rows: int
    blocks: int
    lines: int = 1


def filter_shape(p: TapConvolution, columns: int, target: Target) -> tuple[int, ...]:
    """Shape of the reordered weights: K blocks, C blocks, taps, channels of a block, columns * V."""
    v = target.vector
    block = columns * v
    _, count = p.input_blocks(block, v)
    narrow = p.planar or (p.groups == 1 and p.input[0] < v)  # fewer channels than a block: the rest is left out
    taps = max(1, len(p.taps))  # an input gradient may have none, where a stride steps over all of a small image
    return (ceil_div(p.output[0], block), count, taps, p.input[0] if narrow else v, block)


def _cost(pixels: int, columns: int, width: int) -> float:
    """Time a useful multiply-add, in cycles: at least one, more where loads (one a cycle), latency (8 accumulators
    hide it) or pixels computed twice hold it up. The last term prefers bigger tiles, which touch weights less often."""
    fmas = pixels * columns
    loads = pixels + columns
    waste = ceil_div(width, pixels) * pixels / width
    return waste * max(1.0, loads / fmas, 8 / fmas) * (1 + 0.6 / pixels + 0.05 * loads / fmas)


def tiles(p: TapConvolution, target: Target) -> list[Tile]:
    """Tiles worth trying, best first."""
    v = target.vector
    width = min(cls.size[1] for cls in p.classes)
    blocks = ceil_div(p.output[0], v)
    dense = p.groups == 1 or (p.output[0] // p.groups) % v == 0
    shapes = [
        (pixels, columns, 1)
        for columns in range(1, 5)
        if blocks % columns == 0
        and (columns == 1 or (dense and (p.output[0] // p.groups) % (columns * v) == 0) or p.groups == 1)
        for pixels in range(1, min(width, 28) + 1)
        if pixels * columns + columns + 1 <= target.registers
    ]
    if len(p.classes) == 1 and width <= 10:
        high = p.classes[0].size[0]
        shapes += [
            (lines * width, columns, lines)
            for _, columns, _ in [s for s in shapes if s[0] == width]
            for lines in range(2, high + 1)
            if lines * width * columns + columns + 1 <= target.registers
        ]
    shapes.sort(key=lambda s: (_cost(s[0], s[1], width * s[2]) * _row_waste(p, s[2]), -s[0] * s[1]))
    return [_shared_out(p, target, *shape) for shape in shapes[:4]]


def _row_waste(p: TapConvolution, lines: int) -> float:
    high = p.classes[0].size[0]
    return ceil_div(high, lines) * lines / high


def patch_shape(p: TapConvolution, rows: int) -> tuple[int, int, int, int]:
    """(height, width, first row offset, first column offset) of the patch for `rows` rows of classes."""
    taps = p.taps or ((0, 0, 0),)
    top, left = min(t[0] for t in taps), min(t[1] for t in taps)
    bottom, right = max(t[0] for t in taps), max(t[1] for t in taps)
    wide = max(cls.size[1] for cls in p.classes)
    return (rows - 1) * p.in_stride[0] + bottom - top + 1, (wide - 1) * p.in_stride[1] + right - left + 1, top, left


def _shared_out(p: TapConvolution, target: Target, pixels: int, columns: int, lines: int) -> Tile:
    """Rows and blocks for a work-group: enough work-groups to keep every core busy to the end, patches in half the
    second cache, and few rows copied twice."""
    v = target.vector
    high = max(cls.size[0] for cls in p.classes)
    groups = ceil_div(p.output[0], v * columns)
    count = p.input_blocks(columns * v, v)[1]
    channels = p.input[0] if p.planar else count * v
    wanted = 8 * target.units
    rows = lines
    for candidate in range(lines, ceil_div(high, lines) * lines + 1, lines):
        high_patch, wide_patch, _, _ = patch_shape(p, candidate)
        fits = candidate == lines or 4 * channels * high_patch * wide_patch <= target.l2 // 3
        even = ceil_div(high, candidate) < ceil_div(high, rows) or candidate == lines
        if fits and even and (p.batch * ceil_div(high, candidate) >= wanted or candidate * p.in_stride[0] <= 2):
            rows = candidate
    blocks = groups if p.groups == 1 else 1
    while blocks > 1 and p.batch * ceil_div(high, rows) * ceil_div(groups, blocks) < wanted:
        blocks = ceil_div(blocks, 2)
    return Tile(pixels, columns, rows, blocks, lines)


def partial_rows(p: TapConvolution, tile: Tile) -> int:
    """Rows of the epilogue's partial sums."""
    return p.batch * ceil_div(max(cls.size[0] for cls in p.classes), tile.rows)


def direct(
    p: TapConvolution,
    target: Target,
    epilogue: Epilogue = Epilogue(),
    tile: Tile | None = None,
    prologue: Prologue | None = None,
) -> Kernel:
    """`Y = epilogue(X * F)`: X blocked (planar where the problem says so), F reordered, Y and all element operands
    blocked."""
    v = target.vector
    tile = tile or tiles(p, target)[0]
    block = tile.columns * v
    (channels, high, wide), (filters, out_high, out_wide) = p.input, p.output
    k_blocks, c_blocks, n_taps, c_block, _ = filter_shape(p, tile.columns, target)
    k_vectors = ceil_div(filters, v)
    firsts, _ = p.input_blocks(block, v)
    rows_high = max(cls.size[0] for cls in p.classes)
    row_groups = ceil_div(rows_high, tile.rows)
    block_groups = ceil_div(k_blocks, tile.blocks)
    patch_high, patch_wide, top, left = patch_shape(p, tile.rows)
    x_size = p.batch * (channels if p.planar else ceil_div(channels, v) * v) * high * wide
    y_size = p.batch * k_vectors * v * out_high * out_wide

    bare = (
        not p.planar
        and prologue is None
        and p.in_stride == (1, 1)
        and len(p.classes) == 1
        and (top, left) == (0, 0)
        and patch_wide == wide
        and p.classes[0].size[0] + max(t[0] for t in p.taps) <= high
        and rows_high % tile.lines == 0
    )  # no padding, nothing to normalise: tiles read X itself
    if p.planar:
        pixel, line, plane, channel = 1, patch_wide, 0, patch_high * patch_wide
    else:
        pixel, channel = v, 1
        line = (wide if bare else patch_wide) * v
        plane = line * (high if bare else patch_high)

    body = [f"const int i0 = g0 * {tile.rows}, n = g1;"]
    space = "__global const" if bare else "const"
    linear = [f - firsts[0] for f in firsts]
    step = linear[1] if len(linear) > 1 else 0
    if any(f != firsts[0] + i * step for i, f in enumerate(firsts)):
        body.append(f"const int firsts[{len(firsts)}] = {{{', '.join(map(str, firsts))}}};")
        first = "firsts[kb]"
    else:
        first = f"({firsts[0]} + kb * {step})" if step or firsts[0] else "0"

    grouped = first != "0"
    if bare:
        body.append(
            f"__global const float* const image = X + (size_t)n * {ceil_div(channels, v) * v * high * wide} +"
            f" i0 * {line};"
        )
    else:
        count = c_block if p.planar else c_blocks * patch_high * patch_wide * v
        size = c_block * patch_high * patch_wide if p.planar else count
        body.append(f"float patch[{size}] __attribute__((aligned(64)));")
    copy = [] if bare else copy_patch(p, target, patch_high, patch_wide, top, left, c_blocks, first, prologue)
    if not grouped:
        body += copy
    if bare and grouped:
        base = f"image + {first} * {plane}"
    else:
        base = "image" if bare else "patch"

    offsets = [(t[0] - top) * line + (t[1] - left) * pixel for t in p.taps] or [0]
    body.append(f"const int offset[{len(offsets)}] = {{{', '.join(map(str, offsets))}}};")
    body.append(f"for (int kb = g2 * {tile.blocks}; kb < min({k_blocks}, (g2 + 1) * {tile.blocks}); kb++) {{")
    if grouped:
        body += copy
    body += epilogue.begin(tile.columns, f"kb * {block}", filters, target)
    first_tap = 0
    for cls in p.classes:
        taps = (first_tap, first_tap + len(cls.taps))
        first_tap = taps[1]
        body += _class(
            p, cls, taps, tile, target, epilogue, (base, space, pixel, line, plane, channel, c_block), filters
        )
    body += epilogue.end(tile.columns, f"g1 * {row_groups} + g0", f"kb * {block}", k_vectors * v, v)
    body.append("}")

    inputs = [Argument("X", "in", x_size), Argument("F", "in", k_blocks * c_blocks * n_taps * c_block * block)]
    rows = partial_rows(p, tile)
    pixels = f"{tile.lines}*{tile.pixels // tile.lines}" if tile.lines > 1 else str(tile.pixels)
    prologue_arguments = prologue.arguments(ceil_div(channels, v) * v, x_size) if prologue else ()
    return Kernel(
        name=p.label,
        preamble=(preamble(target),),
        body=tuple(body),
        arguments=(*inputs, *prologue_arguments, *epilogue.arguments(y_size, filters, rows, k_vectors * v)),
        grid=(row_groups, p.batch, block_groups),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"direct {pixels}x{block} float{v}, {tile.rows} rows x {tile.blocks} blocks",
        attributes=target.attributes,
    )


def _class(
    p: TapConvolution,
    cls,
    taps: tuple[int, int],
    tile: Tile,
    target: Target,
    epilogue: Epilogue,
    strides: tuple[str, str, int, int, int, int, int],
    filters: int,
) -> list[str]:
    """All tiles of one class of pixels for block `kb`."""
    base, space, pixel, line, plane, channel, c_block = strides
    v, (rows, wide) = target.vector, cls.size
    block = tile.columns * v
    _, out_high, out_wide = p.output
    _, c_blocks, n_taps, _, _ = filter_shape(p, tile.columns, target)
    k_vectors = ceil_div(filters, v)
    line_pixels = min(tile.pixels // tile.lines, wide)
    whole = wide % line_pixels == 0
    every = [(dr, dc) for dr in range(tile.lines) for dc in range(line_pixels)]
    ragged = tile.lines > 1 and rows % tile.lines
    each = range(tile.columns)
    tap_size = c_block * block
    lines = [
        f"for (int i = i0; i < min({rows}, i0 + {tile.rows}); i += {tile.lines})",
        f"for (int j0 = 0; j0 < {wide}; j0 += {line_pixels}) {{",
    ]
    lines.append("const int j = j0;" if whole else f"const int j = min(j0, {wide - line_pixels});")
    lines += [f"vec c{i}_{c} = 0;" for i in range(len(every)) for c in each]
    if taps[0] < taps[1]:
        lines += [
            f"for (int cb = 0; cb < {c_blocks}; cb++) {{",
            f"__global const float* b = F + ((size_t)kb * {c_blocks} + cb) * {n_taps * tap_size} +"
            f" {taps[0] * tap_size};",
            f"{space} float* const a0 = {base} + (i - i0) * {line * p.in_stride[0]} + j *"
            f" {pixel * p.in_stride[1]} + cb * {plane};",
            f"for (int t = {taps[0]}; t < {taps[1]}; t++) {{",
            f"{space} float* a = a0 + offset[t];",
            f"__attribute__((opencl_unroll_hint(4))) for (int c = 0; c < {c_block}; c++) {{",
        ]
        lines += [f"const vec b{c} = *(__global const vecu*)(b + {c * v});" for c in each]
        for i, (dr, dc) in enumerate(every):
            lines.append(f"{{ const float s = a[{dr * line * p.in_stride[0] + dc * pixel * p.in_stride[1]}];")
            lines += [f"c{i}_{c} = s * b{c} + c{i}_{c};" for c in each]
            lines.append("}")
        lines += [f"a += {channel}; b += {block};", "}", "}", "}"]
    for i, (dr, dc) in enumerate(every):
        if not whole:
            lines.append(f"if (j + {dc} >= j0) {{")
        if ragged and dr and not dc:
            lines.append(f"if (i + {dr} < {rows}) {{")
        for c in each:
            row = f"(i + {dr}) * {p.out_stride[0]} + {cls.phase[0]}"
            column = f"(j + {dc}) * {p.out_stride[1]} + {cls.phase[1]}"
            place = (
                f"(((size_t)n * {k_vectors} + kb * {tile.columns} + {c}) * {out_high} + {row}) * {out_wide} + {column}"
            )
            lines += epilogue.store(f"c{i}_{c}", f"({place}) * {v}", target, c)
        if not whole:
            lines.append("}")
        if ragged and dr and dc == line_pixels - 1:
            lines.append("}")
    return [*lines, "}"]


def copy_patch(
    p: TapConvolution,
    target: Target,
    patch_high: int,
    patch_wide: int,
    top: int,
    left: int,
    c_blocks: int,
    first: str,
    prologue: Prologue | None,
) -> list[str]:
    """C that fills `patch` with rows from `i0 * stride + top`, zeros outside the image."""
    v = target.vector
    channels, high, wide = p.input
    skip = max(0, -left)
    count = max(0, min(wide - (left + skip), patch_wide - skip))
    unit, kind = (1, "float") if p.planar else (v, "vec")
    planes = channels if p.planar else c_blocks
    all_planes = channels if p.planar else ceil_div(channels, v)
    source = "d" if p.planar else f"({first} + d)" if first != "0" else "d"
    element = {
        "vec": (f"*(__global const vecu*)(x + w * {v})", f"*(vec*)(q + w * {v})"),
        "float": ("x[w]", "q[w]"),
    }[kind]
    lines = [f"for (int d = 0; d < {planes}; d++) {{"]
    if prologue:
        assert not p.planar, "a prologue needs the blocked layout"
        lines += prologue.load_operands(source, target)
    lines += [
        f"for (int r = 0; r < {patch_high}; r++) {{",
        f"float* q = patch + (d * {patch_high} + r) * {patch_wide * unit};",
        f"const int y = i0 * {p.in_stride[0]} + {top} + r;",
        f"if (y < 0 || y >= {high}) {{ for (int w = 0; w < {patch_wide}; w++) {element[1]} = 0; continue; }}",
        f"for (int w = 0; w < {skip}; w++) {element[1]} = 0;",
        f"for (int w = {skip + count}; w < {patch_wide}; w++) {element[1]} = 0;",
        f"q += {skip * unit};",
        f"__global const float* x = X + (((size_t)n * {all_planes} + {source}) * {high} + y) * {wide * unit}"
        f" + {(left + skip) * unit};",
    ]
    if prologue:
        lines.append(f"for (int w = 0; w < {count}; w++) {{")
        lines += prologue.apply("result", element[0], f"(x - X) + w * {v}", target)
        lines.append(f"{element[1]} = v_result; }}")
    else:
        lines.append(f"for (int w = 0; w < {count}; w++) {element[1]} = {element[0]};")
    return [*lines, "}", "}"]
