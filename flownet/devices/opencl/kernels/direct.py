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

from flownet.devices.opencl.kernels.cost import balanced, multiply_cycles, reading_cycles
from flownet.devices.opencl.kernels.epilogue import Epilogue, Prologue
from flownet.devices.opencl.kernels.geometry import TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, halves, preamble, product
from flownet.devices.opencl.kernels.prefetch import PREFETCH, vectors_ahead
from flownet.devices.opencl.target import Target

__all__ = ["Tile", "cycles", "direct", "filter_shape", "partial_rows", "tiles"]


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


def tiles(p: TapConvolution, target: Target) -> list[Tile]:
    """Tiles worth trying, best first; none where a row of the image is more than a work-group can hold."""
    blocks = ceil_div(p.output[0], target.vector)
    every = [
        Tile(pixels, columns, rows, share, lines)
        for pixels, columns, lines in _register_tiles(p, target)
        for rows in _rows(p, lines, target)
        for share in (halves(blocks // columns) if p.groups == 1 else [1])
    ]
    best: dict[tuple[int, int, int], Tile] = {}
    for tile in sorted(every, key=lambda tile: cycles(p, tile, target)):
        best.setdefault((tile.pixels, tile.columns, tile.lines), tile)
    return list(best.values())[:4]


def _register_tiles(p: TapConvolution, target: Target) -> list[tuple[int, int, int]]:
    """The six (pixels, columns, lines) that multiply fastest."""
    v = target.vector
    wide, high = min(cls.size[1] for cls in p.classes), max(cls.size[0] for cls in p.classes)
    blocks, filters = ceil_div(p.output[0], v), p.output[0] // p.groups
    shapes = {}
    for columns in (1, 2, 3, 4):
        if blocks % columns or (columns > 1 and p.groups > 1 and filters % (columns * v)):
            continue
        largest = (target.registers - columns - 1) // columns
        for count in range(ceil_div(wide, largest), wide + 1):
            shapes[ceil_div(wide, count), columns, 1] = ceil_div(wide, count) * count / wide
        for lines in range(2, min(high, largest // wide) + 1 if len(p.classes) == 1 and wide <= 14 else 2):
            shapes[lines * wide, columns, lines] = ceil_div(high, lines) * lines / high
    return sorted(shapes, key=lambda shape: shapes[shape] * _loads(shape[0], shape[1]))[:6]


def _loads(pixels: int, columns: int) -> float:
    """Cycles of a multiply-add: more than one where loads (one a cycle), latency (ten accumulators hide it) or the number of
    registers hold it up."""
    lanes = pixels * columns
    return max(1.0, 1.2 * (pixels + columns) / lanes, 10 / lanes) * (1 + 0.01 * max(0, lanes - 20))


def _rows(p: TapConvolution, lines: int, target: Target) -> list[int]:
    """Rows of a work-group: multiples of `lines` that share out the image evenly, and whose patch is no larger than may be: none
    is, where all taps lie inside the image, which is then read in place."""
    high = max(cls.size[0] for cls in p.classes)
    counts = dict.fromkeys(ceil_div(high, parts * lines) * lines for parts in (1, 2, 4, 8, 16, high))
    few = [rows for rows in counts if 4 * product(_patch(p, rows, target)) <= target.private_bytes]
    return few or [1] * (lines == 1 and _inside(p))


def patch_shape(p: TapConvolution, rows: int) -> tuple[int, int, int, int]:
    """(height, width, first row offset, first column offset) of the patch for `rows` rows of classes."""
    taps = p.taps or ((0, 0, 0),)
    top, left = min(t[0] for t in taps), min(t[1] for t in taps)
    bottom, right = max(t[0] for t in taps), max(t[1] for t in taps)
    wide = max(cls.size[1] for cls in p.classes)
    return (rows - 1) * p.in_stride[0] + bottom - top + 1, (wide - 1) * p.in_stride[1] + right - left + 1, top, left


def _patch(p: TapConvolution, rows: int, target: Target) -> tuple[int, int, int]:
    """(channels, height, width) of the patch."""
    v = target.vector
    high, wide, _, _ = patch_shape(p, rows)
    channels = p.input[0] if p.planar else p.input_blocks(v, v)[1] * v
    return channels, high, wide


def cycles(p: TapConvolution, tile: Tile, target: Target) -> float:
    """Cycles of one core for all of it: what the busiest core does, times the cores.

    A work-group copies its patch; then, for each block of filters, its tiles multiply, reading patch and weights from the
    second cache, and weights from where they lie at first. Fitted to 37 shapes on a Sapphire Rapids, with up to 26 tiles
    each: the one that this puts first takes 1.04 times as long as the best one, in the geometric mean.
    """
    v, columns = target.vector, tile.columns
    k_blocks, c_blocks, n_taps, c_block, block = filter_shape(p, columns, target)
    tiles_of = [_tiles_of(cls.size, tile) for cls in p.classes]
    pixels = [
        count * min(tile.pixels, tile.lines * cls.size[1]) for count, cls in zip(tiles_of, p.classes, strict=True)
    ]
    multiply = _loads(tile.pixels, columns) * multiply_cycles(
        columns * c_blocks * c_block * sum(n * len(cls.taps) for n, cls in zip(pixels, p.classes, strict=True)), target
    )
    weights, patch = 4 * c_blocks * n_taps * c_block * block, 4 * product(_patch(p, tile.rows, target))
    shared = tile.blocks * weights <= target.l2  # the next image finds them there
    groups = p.batch * ceil_div(max(cls.size[0] for cls in p.classes), tile.rows)
    reading = reading_cycles(weights * k_blocks, 1 if shared else groups, target) / (groups * k_blocks)
    work = multiply + (patch + weights * (max(tiles_of) if weights > target.l1 // 2 else 1)) / 64 + reading / 10
    parts = ceil_div(k_blocks, tile.blocks)
    copy = 0 if _inside(p) else patch / v
    first = weights / 4 if weights * k_blocks > target.l2 // 4 else 0  # of a work-group: nobody has asked for it before
    return balanced(groups * parts, target) * (copy + first + k_blocks / parts * (work + 2 * columns * sum(pixels)))


def _tiles_of(size: tuple[int, int], tile: Tile) -> int:
    """Tiles that a work-group computes of a class of pixels."""
    high, wide = size
    return ceil_div(min(tile.rows, high), tile.lines) * ceil_div(wide, max(1, min(tile.pixels // tile.lines, wide)))


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

    bare = prologue is None and _inside(p)
    if p.planar:
        pixel, line, plane, channel = 1, patch_wide, 0, patch_high * patch_wide
    else:
        pixel, channel = v, 1
        line = (wide if bare else patch_wide) * v
        plane = line * (high if bare else patch_high)

    body = [f"const int begin = g0 * {tile.rows}, n = g1;"]
    body.append(f"const int i0 = min(begin, {rows_high - tile.lines});" if tile.lines > 1 else "const int i0 = begin;")
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
            f" i0 * {line * p.in_stride[0]};"
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
        preamble=(preamble(target), PREFETCH),
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
    ragged = tile.lines > 1 and (rows % tile.lines or rows % tile.rows)
    each = range(tile.columns)
    tap_size = c_block * block
    ahead = _ahead(p, tile, target)
    lines = ["int q = 0;"] if ahead else []
    lines += [
        f"for (int r0 = begin; r0 < min({rows}, begin + {tile.rows}); r0 += {tile.lines})",
        f"for (int j0 = 0; j0 < {wide}; j0 += {line_pixels}) {{",
        f"const int i = min(r0, {rows - tile.lines});" if ragged else "const int i = r0;",
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
            *(f"PREFETCH(b + q + {c_blocks * n_taps * tap_size + n * v});" for n in range(ahead)),
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
        if ragged and not dc:
            lines.append(f"if (i + {dr} >= r0) {{")
        for c in each:
            row = f"(i + {dr}) * {p.out_stride[0]} + {cls.phase[0]}"
            column = f"(j + {dc}) * {p.out_stride[1]} + {cls.phase[1]}"
            place = (
                f"(((size_t)n * {k_vectors} + kb * {tile.columns} + {c}) * {out_high} + {row}) * {out_wide} + {column}"
            )
            lines += epilogue.store(f"c{i}_{c}", f"({place}) * {v}", target, c)
        if not whole:
            lines.append("}")
        if ragged and dc == line_pixels - 1:
            lines.append("}")
    if ahead:
        lines.append(f"q += {ahead * v};")
    return [*lines, "}"]


def _inside(p: TapConvolution) -> bool:
    """Whether every tap of every output lies inside the image, so that there is nothing to pad."""
    if p.planar or len(p.classes) > 1 or not p.taps or min(t[0] for t in p.taps) or min(t[1] for t in p.taps):
        return False
    last = [(size - 1) * stride for size, stride in zip(p.classes[0].size, p.in_stride, strict=True)]
    return all(last[axis] + max(t[axis] for t in p.taps) < p.input[1 + axis] for axis in (0, 1))


def _ahead(p: TapConvolution, tile: Tile, target: Target) -> int:
    """Vectors of the next block's weights that a tile asks for at each tap of each channel block."""
    if len(p.classes) > 1:
        return 0
    shape = filter_shape(p, tile.columns, target)
    *_, c_block, block = shape
    return vectors_ahead(4 * product(shape), c_block * block // target.vector, _tiles_of(p.classes[0].size, tile))


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
