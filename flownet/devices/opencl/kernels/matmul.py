"""Matrix products of row-major float32 matrices: `C = epilogue(op(A) @ op(B))`, op(A) is m x k, op(B) k x n, batched.

A register tile is `rows` x `columns` vectors along n; for each k it loads `columns` vectors of B and broadcasts `rows`
scalars of A, which are read where they stand, transposed or not. B is read

* in place, where rows of op(B) are contiguous, whole vectors, and not read often;
* from a panel [k][columns * V] that the work-group first copies into private memory (transposing it in registers, V x
  V at a time, where B is transposed): one work-group computes all rows of C that it can for such a panel;
* from panels made before (`pack`), for weights that do not change.

With one row and a transposed B (a dense layer at batch 1) everything is bound by reading B once: the variant `dot`
holds V dot products and reads B's rows in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, identifier, preamble
from flownet.devices.opencl.kernels.prefetch import PREFETCH
from flownet.devices.opencl.target import Target

__all__ = ["Matmul", "MatmulTile", "candidates", "matmul", "pack", "reduce_splits"]

_AHEAD = 64  # rows of a panel that are asked for before they are read, where weights come from memory


@dataclass(frozen=True)
class Matmul:
    """The problem. A is stored [batch][m][k], or [batch][k][m] where `transposed_a`; B [batch][k][n], or [batch][n][k]
    where `transposed_b`. `shared_a`, `shared_b`: the same matrix for the whole batch."""

    m: int
    n: int
    k: int
    transposed_a: bool = False
    transposed_b: bool = False
    batch: int = 1
    shared_a: bool = False
    shared_b: bool = False

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k

    @property
    def bytes(self) -> int:
        a = (1 if self.shared_a else self.batch) * self.m * self.k
        b = (1 if self.shared_b else self.batch) * self.k * self.n
        return 4 * (a + b + self.batch * self.m * self.n)

    @property
    def label(self) -> str:
        letters = ("t" if self.transposed_a else "n") + ("t" if self.transposed_b else "n")
        return identifier(
            "matmul", letters, *([f"b{self.batch}"] if self.batch > 1 else []), f"{self.m}x{self.n}x{self.k}"
        )


@dataclass(frozen=True)
class MatmulTile:
    """rows x columns vectors in registers; a work-group computes `row_tiles` of them for each of `panels` panels of
    columns * V.

    source: "place", "panel", "packed" or "dot" (see the module). `splits` parts of k are summed apart, into C of
    [splits][batch][m][n], for `reduce_splits` to add: where there are too few tiles for the cores, or k is too long for
    the memory of a work-group.
    """

    rows: int
    columns: int
    row_tiles: int
    panels: int
    source: str
    splits: int = 1


def candidates(p: Matmul, target: Target, *, packed: bool = False) -> list[MatmulTile]:
    """Tiles worth trying, best first."""
    v = target.vector
    whole = p.n % v == 0
    vectors = ceil_div(p.n, v)
    if p.m == 1 and p.transposed_b and p.k % v == 0 and not packed:
        return [MatmulTile(1, 1, 1, max(1, min(8, vectors // (8 * target.units))), "dot")]
    shapes = []
    for columns in (1, 2, 3, 4):
        if columns > vectors:
            continue
        for rows in range(1, min(p.m, 28) + 1):
            registers = rows * columns + columns + (1 if columns > 2 else 0)
            if registers < target.registers:
                fmas = rows * columns
                waste = ceil_div(p.m, rows) * rows / p.m * ceil_div(vectors, columns) * columns / vectors
                reread = 0.1 + 0.4 * min(1.0, 4 * p.m * p.k / target.l2)  # A is read once for each panel
                if p.transposed_b and not packed and p.batch * ceil_div(vectors, columns) < 4 * target.units:
                    waste *= 1.2  # too few panels for the cores: some would be transposed twice
                # a load takes a seventh of a multiply-add's time even beside enough of them (Sapphire Rapids: 6x4 194 GFLOP/s, 8x2 and
                # 4x4 180, 24x1 165, none 212); where panels are transposed first, few and wide ones cost more than that
                loads = 0.28 * (rows + columns) / fmas if packed or not p.transposed_b else 0.0
                cost = (
                    waste * (max(1.0, (rows + columns) / fmas, 8 / fmas) + loads) * (1 + 0.3 / rows + reread / columns)
                )
                if packed and _streams(p, target):
                    cost += 0.05 * ceil_div(p.m, rows)  # a panel is read once for each
                shapes.append((cost, rows, columns))
    shapes.sort()
    out = []
    for _, rows, columns in shapes[:3]:
        tiles = ceil_div(p.m, rows)
        panels = ceil_div(vectors, columns)
        source = "packed" if packed else "panel"
        if not packed and whole and vectors % columns == 0 and not p.transposed_b and tiles <= 2:
            source = "place"
        wanted = 4 * target.units if p.flops > 1 << (27 if packed else 21) else target.units
        row_tiles, share = tiles, max(1, min(panels, panels * p.batch // (16 * target.units)))
        if wanted == target.units and packed:
            share = ceil_div(panels * p.batch, target.units)  # a core's weights are its own
        while row_tiles > 1 and p.batch * ceil_div(panels, share) * ceil_div(tiles, row_tiles) < wanted:
            row_tiles = ceil_div(row_tiles, 2)
        groups = p.batch * ceil_div(panels, share) * ceil_div(tiles, row_tiles)
        splits = 1
        while groups * splits < wanted and p.k // splits >= 1024:
            splits *= 2
        tile = MatmulTile(rows, columns, row_tiles, share, source, splits)
        while 4 * _private_floats(p, tile, v) > target.private_bytes and tile.splits < p.k:
            tile = replace(tile, splits=2 * tile.splits)
        out.append(tile)
    return out


def _is_staged(p: Matmul, tile: MatmulTile) -> bool:
    """Whether rows of A are copied first: 2 KiB apart, they fall into the same lines of the first cache."""
    return not p.transposed_a and tile.rows > 4 and p.k % 512 == 0


def _private_floats(p: Matmul, tile: MatmulTile, v: int) -> int:
    """Floats that a work-group keeps: its part of a panel's rows, and of the rows of A."""
    part = ceil_div(p.k, tile.splits)
    staged = tile.rows * (part + v) if _is_staged(p, tile) else 0
    return staged + (part * tile.columns * v if tile.source == "panel" else 0)


def _streams(p: Matmul, target: Target) -> bool:
    """Whether packed weights come from memory, and slower than they could (see `prefetch`): a single row keeps up."""
    return p.m > 1 and 4 * p.k * p.n > target.l2


def _transpose(v: int, prefix: str) -> list[str]:
    """C that transposes the V x V matrix in vectors `<prefix>0_i`, into `<prefix>S_i`: each stage parts even from odd
    lanes of neighbouring rows, which rotates the bits of an element's index by one."""
    stages = v.bit_length() - 1
    lines = []
    for stage in range(stages):
        for i in range(v // 2):
            for half, lanes in enumerate(("even", "odd")):
                a, b = f"{prefix}{stage}_{2 * i}", f"{prefix}{stage}_{2 * i + 1}"
                lines.append(f"const vec {prefix}{stage + 1}_{half * v // 2 + i} = (vec)({a}.{lanes}, {b}.{lanes});")
    return lines


def _copy_panel(p: Matmul, target: Target, block: int, k_count: str, destination: str, column: str) -> list[str]:
    """C that fills `destination` [k][block] with columns `column`.. of op(B), rows from `k0`, zeros past n. `B0` is
    the batch's B."""
    v = target.vector
    if not p.transposed_b:
        lines = [
            f"for (int k = 0; k < {k_count}; k++) {{",
            f"__global const float* b = B0 + (size_t)(k0 + k) * {p.n} + {column};",
        ]
        lines.append(f"float* d = {destination} + k * {block};")
        if p.n % block == 0:
            lines += [f"*(vec*)(d + {i}) = *(__global const vecu*)(b + {i});" for i in range(0, block, v)]
        elif p.n % v == 0:
            inside = [f"({column}) + {i} < {p.n}" for i in range(0, block, v)]
            lines += [
                f"if ({test}) *(vec*)(d + {i * v}) = *(__global const vecu*)(b + {i * v}); else *(vec*)(d + {i * v}) = 0;"
                for i, test in enumerate(inside)
            ]
        else:
            lines.append(f"const int count = min({block}, {p.n} - ({column}));")
            lines.append(f"if (count == {block}) {{")
            lines += [f"*(vec*)(d + {i}) = *(__global const vecu*)(b + {i});" for i in range(0, block, v)]
            lines.append(f"}} else for (int l = 0; l < {block}; l++) d[l] = l < count ? b[l] : 0;")
        return [*lines, "}"]
    lines = [
        f"for (int l = 0; l < {block}; l += {v}) {{",
        f"__global const float* b = B0 + (size_t)({column} + l) * {p.k} + k0;",
        f"float* d = {destination} + l;",
        f"const int count = min({v}, {p.n} - ({column}) - l);",
        "int k = 0;",
        f"if (count == {v}) for (; k + {v} <= {k_count}; k += {v}) {{",
    ]
    lines += [f"const vec r0_{i} = *(__global const vecu*)(b + {i * p.k} + k);" for i in range(v)]
    lines += _transpose(v, "r")
    stages = v.bit_length() - 1
    lines += [f"*(vec*)(d + (k + {i}) * {block}) = r{stages}_{i};" for i in range(v)]
    lines += [
        "}",
        f"for (; k < {k_count}; k++) for (int i = 0; i < {v}; i++) d[k * {block} + i] = i < count ? b[i * {p.k}"
        f" + k] : 0;",
        "}",
    ]
    return lines


def pack(p: Matmul, tile: MatmulTile, target: Target) -> Kernel:
    """`F`, panels float32[batch][ceil(n / block)][k][block] of op(B), block = columns * V, zeros past n, from plain
    `B`."""
    block = tile.columns * target.vector
    panels = ceil_div(p.n, block)
    batch = 1 if p.shared_b else p.batch
    body = [
        f"__global const float* B0 = B + (size_t)g1 * {p.k * p.n};",
        f"__global float* const d0 = F + ((size_t)g1 * {panels} + g0) * {p.k * block};",
        "const int k0 = 0;",
    ]
    copied = _copy_panel(p, target, block, str(p.k), "d0", f"g0 * {block}")
    body += [
        line.replace("float* d =", "__global float* d =").replace("*(vec*)(d", "*(__global vecu*)(d") for line in copied
    ]
    return Kernel(
        p.label + f"_pack{block}",
        tuple(body),
        (Argument("B", "in", batch * p.k * p.n), Argument("F", "out", batch * panels * p.k * block)),
        (panels, batch, 1),
        (preamble(target),),
        bytes=8 * batch * p.k * p.n,
        variant=f"pack panels of {block}",
        attributes=target.attributes,
    )


def matmul(
    p: Matmul, target: Target, epilogue: Epilogue = Epilogue(outputs=(("C", "acc"),)), tile: MatmulTile | None = None
) -> Kernel:
    """The kernel for `tile` (default: the first candidate). Buffers: A, B (packed: F) and the epilogue's, element
    operands of C's shape, "channel" operands one a column. With splits the epilogue must be the plain store."""
    tile = tile or candidates(p, target)[0]
    assert tile.splits == 1 or epilogue == Epilogue(outputs=(("C", "acc"),)), (
        "an epilogue comes after the sum of the parts"
    )
    if tile.source == "dot":
        return _dot(p, target, epilogue, tile)
    v = target.vector
    block = tile.columns * v
    panels = ceil_div(p.n, block)
    tiles = ceil_div(p.m, tile.rows)
    k_part = ceil_div(p.k, tile.splits)
    each = range(tile.columns)
    rows = range(tile.rows)
    a_row, a_k = (1, p.m) if p.transposed_a else (p.k, 1)
    row_groups, panel_groups = ceil_div(tiles, tile.row_tiles), ceil_div(panels, tile.panels)

    body = [f"const int bs = g2 / {tile.splits}, k0 = g2 % {tile.splits} * {k_part}, kn = min({k_part}, {p.k} - k0);"]
    body.append(
        f"__global const float* const A0 = A{'' if p.shared_a else f' + (size_t)bs * {p.m * p.k}'} + (size_t)k0"
        f" * {a_k};"
    )
    b_batch = "" if p.shared_b else f" + (size_t)bs * {p.k * p.n}"
    if tile.source == "packed":
        f_batch = "" if p.shared_b else f" + (size_t)bs * {panels * p.k * block}"
        body.append(f"__global const float* const F0 = F{f_batch};")
    else:
        body.append(f"__global const float* const B0 = B{b_batch};")
    staged = _is_staged(p, tile)
    if staged:
        body.append(f"float staged[{tile.rows * (k_part + v)}] __attribute__((aligned(64)));")
    if tile.source == "panel":
        body.append(f"float panel[{k_part * block}] __attribute__((aligned(64)));")
    body.append(f"for (int q = g0 * {tile.panels}; q < min({panels}, (g0 + 1) * {tile.panels}); q++) {{")
    body.append(f"const int col = q * {block};")
    if tile.source == "panel":
        body += _copy_panel(p, target, block, "kn", "panel", "col")
        pointer, space, b_step = "panel", "const", block
    elif tile.source == "packed":
        pointer, space, b_step = f"F0 + ((size_t)q * {p.k} + k0) * {block}", "__global const", block
    else:
        pointer, space, b_step = f"B0 + (size_t)k0 * {p.n} + col", "__global const", p.n
    body += epilogue.begin(tile.columns, "col", p.n, target)
    body += [
        f"for (int it = g1 * {tile.row_tiles}; it < min({tiles}, (g1 + 1) * {tile.row_tiles}); it++) {{",
        f"const int i0 = it * {tile.rows}, i = min(i0, {p.m - tile.rows});",
        *(
            [
                f"for (int r = 0; r < {tile.rows}; r++) for (int k = 0; k < kn; k++)"
                f" staged[r * {k_part + v} + k] = A0[(size_t)(i + r) * {a_row} + k];",
                "const float* a = staged;",
            ]
            if staged
            else [f"__global const float* a = A0 + (size_t)i * {a_row};"]
        ),
        f"{space} float* b = {pointer};",
        f"vec {', '.join(f'c{r}_{c} = 0' for r in rows for c in each)};",
        "__attribute__((opencl_unroll_hint(4))) for (int k = 0; k < kn; k++) {",
    ]
    kind = "vecu"
    body += [f"const vec b{c} = *({space} {kind}*)(b + {c * v});" for c in each]
    if tile.source == "packed" and _streams(p, target):
        body += [f"PREFETCH(b + {_AHEAD * block + c * v});" for c in each]
    for r in rows:
        body.append(f"{{ const float s = a[{r * (k_part + v if staged else a_row)}];")
        body += [f"c{r}_{c} = s * b{c} + c{r}_{c};" for c in each]
        body.append("}")
    body += [f"a += {a_k}; b += {b_step};", "}"]
    overlap = p.m % tile.rows != 0
    for r in rows:
        if overlap:
            body.append(f"if (i + {r} >= i0) {{")
        for c in each:
            part = f"((size_t)(g2 % {tile.splits}) * {p.batch} + bs)" if tile.splits > 1 else "(size_t)bs"
            offset = f"({part} * {p.m} + i + {r}) * {p.n} + col + {c * v}"
            if p.n % block == 0 or (p.n % v == 0 and c == 0):
                body += epilogue.store(f"c{r}_{c}", offset, target, c)
            elif p.n % v == 0:
                body += [f"if (col + {c * v} < {p.n})", *epilogue.store(f"c{r}_{c}", offset, target, c)]
            else:
                body.append(f"if (col + {c * v + v} <= {p.n}) {{")
                body += epilogue.store(f"c{r}_{c}", offset, target, c)
                body.append(f"}} else if (col + {c * v} < {p.n}) {{")
                body += epilogue.store(f"c{r}_{c}", offset, target, c, count=str(p.n % v))
                body.append("}")
        if overlap:
            body.append("}")
    body.append("}")
    body += epilogue.end(tile.columns, f"g2 * {row_groups} + g1", "col", panels * block, v)
    body.append("}")

    a_size = (1 if p.shared_a else p.batch) * p.m * p.k
    weights = 1 if p.shared_b else p.batch
    b = (
        Argument("F", "in", weights * panels * p.k * block)
        if tile.source == "packed"
        else Argument("B", "in", weights * p.k * p.n)
    )
    c_size = tile.splits * p.batch * p.m * p.n
    return Kernel(
        p.label,
        tuple(body),
        (
            Argument("A", "in", a_size),
            b,
            *epilogue.arguments(c_size, p.n, tile.splits * p.batch * row_groups, panels * block),
        ),
        (panel_groups, row_groups, p.batch * tile.splits),
        (preamble(target), PREFETCH),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"{tile.source} {tile.rows}x{block} float{v}, {tile.row_tiles} tiles x {tile.panels} panels"
        + (f", {tile.splits} splits" if tile.splits > 1 else ""),
        attributes=target.attributes,
    )


def _dot(p: Matmul, target: Target, epilogue: Epilogue, tile: MatmulTile) -> Kernel:
    """V dot products at a time along k."""
    v = target.vector
    assert p.transposed_b
    assert p.k % v == 0
    vectors = ceil_div(p.n, v)
    groups = ceil_div(vectors, tile.panels)
    stages = v.bit_length() - 1
    if p.transposed_a and p.m > 1:
        raise AssertionError("`dot` reads rows of A")
    body = [
        f"for (int q = g0 * {tile.panels}; q < min({vectors}, (g0 + 1) * {tile.panels}); q++) {{",
    ]
    last = p.n % v
    body += epilogue.begin(1, f"q * {v}", p.n, target)
    body += [
        f"__global const float* a = A{'' if p.shared_a else f' + (size_t)g2 * {p.m * p.k}'} + (size_t)g1 * {p.k};",
        f"__global const float* b = B{'' if p.shared_b else f' + (size_t)g2 * {p.k * p.n}'} + (size_t)q * {v * p.k};",
        f"vec {', '.join(f'r0_{i} = 0' for i in range(v))};",
    ]
    rows = [
        f"b + {i * p.k} + k" if not last else f"b + (size_t)min({i}, {p.n - 1} - q * {v}) * {p.k} + k" for i in range(v)
    ]
    body.append(f"for (int k = 0; k < {p.k}; k += {v}) {{ const vec s = *(__global const vecu*)(a + k);")
    body += [f"r0_{i} = s * *(__global const vecu*)({row}) + r0_{i};" for i, row in enumerate(rows)]
    body.append("}")
    body += _transpose(v, "r")
    total = " + ".join(f"r{stages}_{i}" for i in range(v))
    offset = f"((size_t)g2 * {p.m} + g1) * {p.n} + q * {v}"
    if last:
        body.append(f"if (q * {v + 0} + {v} <= {p.n}) {{")
        body += epilogue.store(total, offset, target)
        body.append("} else {")
        body += epilogue.store(total, offset, target, count=str(last))
        body.append("}")
    else:
        body += epilogue.store(total, offset, target)
    body += epilogue.end(1, f"g2 * {p.m} + g1", f"q * {v}", vectors * v, v)
    body.append("}")
    arguments = (
        Argument("A", "in", (1 if p.shared_a else p.batch) * p.m * p.k),
        Argument("B", "in", (1 if p.shared_b else p.batch) * p.k * p.n),
        *epilogue.arguments(p.batch * p.m * p.n, p.n, p.batch * p.m, vectors * v),
    )
    return Kernel(
        p.label,
        tuple(body),
        arguments,
        (groups, p.m, p.batch),
        (preamble(target),),
        flops=p.flops,
        bytes=p.bytes,
        variant=f"dot {v} float{v}",
        attributes=target.attributes,
    )


def reduce_splits(
    p: Matmul, splits: int, target: Target, epilogue: Epilogue = Epilogue(outputs=(("C", "acc"),))
) -> Kernel:
    """`C` with its epilogue from the parts `P` [splits][batch][m][n] that `matmul` leaves."""
    v = target.vector
    rows, whole = p.batch * p.m, p.batch * p.m * p.n
    body = [f"for (int col = 0; col < {p.n}; col += {v}) {{", *epilogue.begin(1, "col", p.n, target)]
    body.append(f"const size_t at = (size_t)g0 * {p.n} + col;")
    if p.n % v:
        body.append(f"if (col + {v} > {p.n}) {{ vec sum = 0;")
        body.append(
            f"for (int s = 0; s < {splits}; s++) for (int l = 0; l < {p.n} - col; l++) sum[l] += P[at +"
            f" (size_t)s * {whole} + l];"
        )
        body += epilogue.store("sum", "at", target, count=str(p.n % v))
        body.append("} else {")
    else:
        body.append("{")
    body.append("vec sum = 0;")
    body.append(f"for (int s = 0; s < {splits}; s++) sum += *(__global const vecu*)(P + at + (size_t)s * {whole});")
    body += [*epilogue.store("sum", "at", target), "}", *epilogue.end(1, "g0", "col", ceil_div(p.n, v) * v, v), "}"]
    return Kernel(
        p.label + "_reduce",
        tuple(body),
        (Argument("P", "in", splits * whole), *epilogue.arguments(whole, p.n, rows, ceil_div(p.n, v) * v)),
        (rows, 1, 1),
        (preamble(target),),
        bytes=4 * (splits + 1) * whole,
        variant=f"add {splits} parts",
        attributes=target.attributes,
    )
