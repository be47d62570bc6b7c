"""Kernels for GPUs: a local-memory tiled matrix product, and convolutions as the same product over an image that is
gathered on the fly.

Correct on every device with local memory and barriers (PoCL's CPU too, which is how they are tested); plain layouts
throughout: images NCHW, weights as the user stores them. A work-group of 16 x 16 work-items computes a tile of the
result and takes k in slices of 16 through local memory; each work-item has `rows` x `columns` elements, four
neighbours at a time, which local memory gives as one vector.

All three directions of a convolution are one product C[m][n] = sum over k of A[m][k] * B[k][n], with elements fetched
by C expressions:
    forward          m = filters of a group,  n = image and pixel of y,   k = channel and tap
    input gradient   m = channels of a group, n = image and pixel of dx,  k = filter and tap (zero where the stride misses)
    weight gradient  m = filters of a group,  n = channel and tap,        k = image and pixel of y

A weight gradient has few elements and a long k, which is summed in parts by many work-groups, and the parts by a second
kernel: the order of additions depends on shape and device alone.

Epilogues run element by element: `vec` means `float`. Sums (statistics) are not offered here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.geometry import Convolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, Steps, ceil_div
from flownet.devices.opencl.kernels.matmul import Matmul
from flownet.devices.opencl.target import Target

__all__ = ["convolution", "input_gradient", "matmul", "weight_gradient"]

_SLICE, _SIDE = 16, 16
_ITEMS = _SIDE * _SIDE


@dataclass(frozen=True)
class Share:
    """What a work-item computes: `rows` x `columns` elements of the tile of 16 times as many."""

    rows: int
    columns: int

    @property
    def tile(self) -> tuple[int, int]:
        return _SIDE * self.rows, _SIDE * self.columns


_SHARES = [
    Share(r, c) for r, c in ((8, 8), (4, 8), (8, 4), (4, 4), (2, 8), (8, 2), (2, 4), (4, 2), (1, 8), (1, 4), (2, 2))
]


def _share(m: int, n: int, batch: int, target: Target) -> Share:
    """The share with the least work: elements beyond the result, reading local memory, compute units without a group.

    A compute unit reads one vector from local memory in the time of about four multiply-adds.
    """

    def cost(share: Share) -> float:
        high, wide = share.tile
        groups = batch * ceil_div(m, high) * ceil_div(n, wide)
        elements = groups * high * wide
        reading = 1 + (ceil_div(share.rows, 4) + ceil_div(share.columns, 4)) * 4 / (share.rows * share.columns)
        return max(elements, target.units * high * wide) * reading

    return min(_SHARES, key=cost)


def _at(number: str, local: str, each: int) -> str:
    """The place in the tile of a work-item's element `number`: neighbours in fours, or fewer where it has fewer."""
    run = min(each, 4)
    return f"({number} / {run} * {_SIDE * run} + {local} * {run} + {number} % {run})"


def _scalar_store(epilogue: Epilogue, offset: str, channel: str) -> list[str]:
    """The epilogue for one element `acc`."""
    assert not epilogue.sums, "sums in a GPU's epilogue"
    names = {"acc", *(o.name for o in epilogue.operands)}
    lines = [f"const size_t o = {offset};"]
    if any(operand.access == "channel" for operand in epilogue.operands):
        lines.append(f"const int ch = {channel};")
    for operand in epilogue.operands:
        where = {"element": "o", "channel": "ch", "scalar": "0"}[operand.access]
        lines.append(f"const float v_{operand.name} = {operand.argument}[{where}];")
    for name, expression in epilogue.steps:
        text = re.sub(r"\b([A-Za-z_]\w*)\b", lambda m: f"v_{m[1]}" if m[1] in names else m[1], expression)
        text = re.sub(r"\bi?vec\b", "float", text)
        lines.append(f"const float v_{name} = {text};")
        names.add(name)
    return lines + [f"{buffer}[o] = v_{name};" for buffer, name in epilogue.outputs]


@dataclass(frozen=True)
class _Fetch:
    """C that sets `value` to an element, and whether neighbours along k lie side by side in memory."""

    lines: list[str]
    along_k: bool


def _fill(local: str, fetch: _Fetch, names: tuple[str, str], size: tuple[int, int], tile: int, group: str) -> list[str]:
    """C that fills a slice [k][tile] of local memory, every work-item its share, zeros outside the matrix."""
    at, k_end = names[0], names[1]
    inner = f"e % {_SLICE}" if fetch.along_k else f"e / {tile}"
    outer = f"e / {_SLICE}" if fetch.along_k else f"e % {tile}"
    return [
        "#pragma unroll",
        f"for (int u = 0; u < {tile * _SLICE // _ITEMS}; u++) {{",
        f"const int e = u * {_ITEMS} + item, kl = {inner}, tl = {outer}, k = k0 + kl, {at} = {group} * {tile} + tl;",
        f"float value = 0; if ({at} < {size[0]} && k < {k_end}) {{ {' '.join(fetch.lines)} }}",
        f"{local}[kl][tl] = value; }}",
    ]


def _tiled(
    name: str,
    size: tuple[int, int, int],
    batch: int,
    a: _Fetch,
    b: _Fetch,
    store: list[str],
    arguments: tuple[Argument, ...],
    flops: int,
    count: int,
    share: Share,
    splits: int = 1,
) -> Kernel:
    """The product. `a` fetches from (i, k, z), `b` from (k, j, z), inside the bounds; `store` uses (i, j, z, part,
    v_acc)."""
    m, n, kk = size
    high, wide = share.tile
    each = range(share.rows), range(share.columns)
    runs = min(share.rows, 4), min(share.columns, 4)
    kinds = ["float" if run == 1 else f"float{run}" for run in runs]
    length = ceil_div(ceil_div(kk, splits), _SLICE) * _SLICE
    body = [
        # 4 floats more than needed, so that columns of a slice are not all in one bank
        f"__local float as[{_SLICE}][{high + 4}] __attribute__((aligned(16)));",
        f"__local float bs[{_SLICE}][{wide + 4}] __attribute__((aligned(16)));",
        f"const int lx = get_local_id(0), ly = get_local_id(1), item = ly * {_SIDE} + lx;",
        f"const int z = g2 / {splits}, part = g2 % {splits}, begin = part * {length}, end = min({kk}, begin + {length});",
        *(f"float c{r}_{s} = 0;" for r in each[0] for s in each[1]),
        f"for (int k0 = begin; k0 < end; k0 += {_SLICE}) {{",
        *_fill("as", a, ("i", "end"), (m, kk), high, "g1"),
        *_fill("bs", b, ("j", "end"), (n, kk), wide, "g0"),
        "barrier(CLK_LOCAL_MEM_FENCE);",
        "#pragma unroll",
        f"for (int k = 0; k < {_SLICE}; k++) {{",
    ]
    for local, letter, side, number, run, kind in (
        ("as", "a", "ly", share.rows, runs[0], kinds[0]),
        ("bs", "b", "lx", share.columns, runs[1], kinds[1]),
    ):
        for first in range(0, number, run):
            body.append(
                f"const {kind} {letter}{first} = *(__local const {kind}*)(&{local}[k][{first * _SIDE} + {side} * {run}]);"
            )

    def element(letter: str, number: int, run: int) -> str:
        return f"{letter}{number}" if run == 1 else f"{letter}{number - number % run}.s{number % run}"

    body += [
        f"c{r}_{s} = {element('a', r, runs[0])} * {element('b', s, runs[1])} + c{r}_{s};"
        for r in each[0]
        for s in each[1]
    ]
    body += ["}", "barrier(CLK_LOCAL_MEM_FENCE);", "}"]
    for r in each[0]:
        body.append(f"{{ const int i = g1 * {high} + {_at(str(r), 'ly', share.rows)}; if (i < {m}) {{")
        for s in each[1]:
            body += [
                f"{{ const int j = g0 * {wide} + {_at(str(s), 'lx', share.columns)}; if (j < {n}) {{",
                f"const float v_acc = c{r}_{s};",
                *store,
                "} }",
            ]
        body.append("} }")
    return Kernel(
        name,
        tuple(body),
        arguments,
        (ceil_div(n, wide), ceil_div(m, high), batch * splits),
        local=(_SIDE, _SIDE, 1),
        flops=flops,
        bytes=count,
        variant=f"local memory {high}x{wide}x{_SLICE}" + (f", {splits} parts" if splits > 1 else ""),
    )


def matmul(p: Matmul, target: Target, epilogue: Epilogue = Epilogue(outputs=(("C", "acc"),))) -> Kernel:
    """`C = epilogue(op(A) @ op(B))`: buffers as in `matmul.matmul`."""
    a = f"k * {p.m} + i" if p.transposed_a else f"i * {p.k} + k"
    b = f"j * {p.k} + k" if p.transposed_b else f"k * {p.n} + j"
    a_base = "" if p.shared_a else f"(size_t)z * {p.m * p.k} + "
    b_base = "" if p.shared_b else f"(size_t)z * {p.k * p.n} + "
    store = _scalar_store(epilogue, f"((size_t)z * {p.m} + i) * {p.n} + j", "j")
    arguments = (
        Argument("A", "in", (1 if p.shared_a else p.batch) * p.m * p.k),
        Argument("B", "in", (1 if p.shared_b else p.batch) * p.k * p.n),
        *epilogue.arguments(p.batch * p.m * p.n, p.n, 0, 0),
    )
    fetch_a = _Fetch([f"value = A[{a_base}{a}];"], along_k=not p.transposed_a)
    fetch_b = _Fetch([f"value = B[{b_base}{b}];"], along_k=p.transposed_b)
    share = _share(p.m, p.n, p.batch, target)
    return _tiled(p.label, (p.m, p.n, p.k), p.batch, fetch_a, fetch_b, store, arguments, p.flops, p.bytes, share)


def convolution(p: Convolution, target: Target, epilogue: Epilogue = Epilogue()) -> Kernel:
    """`Y` from plain `X` and `W`."""
    (high, wide), (r, s) = p.output, p.kernel
    per_in, per_out, rs = p.channels // p.groups, p.filters // p.groups, r * s
    fetch_a = [f"value = W[(size_t)(z * {per_out} + i) * {per_in * rs} + k];"]
    fetch_b = [
        f"const int n = j / {high * wide}, h = j / {wide} % {high}, w = j % {wide}, c = k / {rs}, t = k % {rs};",
        f"const int y = h * {p.stride[0]} + t / {s} * {p.dilation[0]} - {p.padding[0][0]};",
        f"const int x = w * {p.stride[1]} + t % {s} * {p.dilation[1]} - {p.padding[1][0]};",
        f"if (y >= 0 && y < {p.height} && x >= 0 && x < {p.width})",
        f"value = X[(((size_t)n * {p.channels} + z * {per_in} + c) * {p.height} + y) * {p.width} + x];",
    ]
    channel = f"z * {per_out} + i"
    offset = f"((size_t)(j / {high * wide}) * {p.filters} + {channel}) * {high * wide} + j % {high * wide}"
    arguments = (
        Argument("X", "in", p.batch * p.channels * p.height * p.width),
        Argument("W", "in", p.filters * per_in * rs),
        *epilogue.arguments(p.batch * p.filters * high * wide, p.filters, 0, 0),
    )
    size = (per_out, p.batch * high * wide, per_in * rs)
    store = _scalar_store(epilogue, offset, channel)
    a, b = _Fetch(fetch_a, along_k=True), _Fetch(fetch_b, along_k=False)
    share = _share(size[0], size[1], p.groups, target)
    return _tiled(p.label("conv2d"), size, p.groups, a, b, store, arguments, p.flops, p.bytes, share)


def input_gradient(p: Convolution, target: Target, epilogue: Epilogue = Epilogue()) -> Kernel:
    """`Y` = dx from `X` = dy and `W`; also the transposed convolution."""
    (high, wide), (r, s) = p.output, p.kernel
    per_in, per_out, rs = p.channels // p.groups, p.filters // p.groups, r * s
    pixels = p.height * p.width
    fetch_a = [f"value = W[((size_t)(z * {per_out} + k / {rs}) * {per_in} + i) * {rs} + k % {rs}];"]
    fetch_b = [
        f"const int n = j / {pixels}, h = j / {p.width} % {p.height}, w = j % {p.width}, f = k / {rs}, t = k % {rs};",
        f"const int y = h + {p.padding[0][0]} - t / {s} * {p.dilation[0]}, x = w + {p.padding[1][0]} - t % {s}"
        f" * {p.dilation[1]};",
        f"if (y >= 0 && x >= 0 && y % {p.stride[0]} == 0 && x % {p.stride[1]} == 0",
        f"&& y / {p.stride[0]} < {high} && x / {p.stride[1]} < {wide})",
        f"value = X[(((size_t)n * {p.filters} + z * {per_out} + f) * {high} + y / {p.stride[0]}) * {wide} + x /"
        f" {p.stride[1]}];",
    ]
    channel = f"z * {per_in} + i"
    offset = f"((size_t)(j / {pixels}) * {p.channels} + {channel}) * {pixels} + j % {pixels}"
    arguments = (
        Argument("X", "in", p.batch * p.filters * high * wide),
        Argument("W", "in", p.filters * per_in * rs),
        *epilogue.arguments(p.batch * p.channels * pixels, p.channels, 0, 0),
    )
    size = (per_in, p.batch * pixels, per_out * rs)
    store = _scalar_store(epilogue, offset, channel)
    a, b = _Fetch(fetch_a, along_k=True), _Fetch(fetch_b, along_k=False)
    share = _share(size[0], size[1], p.groups, target)
    return _tiled(p.label("conv2d_dx"), size, p.groups, a, b, store, arguments, p.flops, p.bytes, share)


def weight_gradient(p: Convolution, target: Target) -> Steps:
    """Plain `dW` from plain `X` and `dY`, by way of parts `P` where the sums are long."""
    (high, wide), (r, s) = p.output, p.kernel
    per_in, per_out, rs = p.channels // p.groups, p.filters // p.groups, r * s
    pixels = high * wide
    fetch_a = [f"value = dY[((size_t)(k / {pixels}) * {p.filters} + z * {per_out} + i) * {pixels} + k % {pixels}];"]
    fetch_b = [
        f"const int n = k / {pixels}, h = k / {wide} % {high}, w = k % {wide}, c = j / {rs}, t = j % {rs};",
        f"const int y = h * {p.stride[0]} + t / {s} * {p.dilation[0]} - {p.padding[0][0]};",
        f"const int x = w * {p.stride[1]} + t % {s} * {p.dilation[1]} - {p.padding[1][0]};",
        f"if (y >= 0 && y < {p.height} && x >= 0 && x < {p.width})",
        f"value = X[(((size_t)n * {p.channels} + z * {per_in} + c) * {p.height} + y) * {p.width} + x];",
    ]
    m, n, k = per_out, per_in * rs, p.batch * pixels
    share = min(
        _SHARES,
        key=lambda s: (
            ceil_div(m, s.tile[0]) * s.tile[0] * ceil_div(n, s.tile[1]) * s.tile[1] * (1 + 1 / s.rows + 1 / s.columns)
        ),
    )  # parts of k fill the device, whatever the tile
    tiles = p.groups * ceil_div(m, share.tile[0]) * ceil_div(n, share.tile[1])
    splits = max(1, min(4 * target.units // tiles, k // (8 * _SLICE)))
    weights, out = p.filters * n, "P" if splits > 1 else "dW"
    arguments = (
        Argument("X", "in", p.batch * p.channels * p.height * p.width),
        Argument("dY", "in", p.batch * p.filters * pixels),
        Argument(out, "out", splits * weights),
    )
    store = [f"{out}[(size_t)part * {weights} + ((size_t)z * {per_out} + i) * {n} + j] = v_acc;"]
    a, b = _Fetch(fetch_a, along_k=True), _Fetch(fetch_b, along_k=True)
    label = p.label("conv2d_dw")
    first = _tiled(label, (m, n, k), p.groups, a, b, store, arguments, p.flops, p.bytes, share, splits)
    if splits == 1:
        return Steps((first,))
    return Steps((first, _add_parts(label, weights, splits)), {"P": splits * weights})


def _add_parts(label: str, size: int, parts: int) -> Kernel:
    """`dW` from the parts `P` [parts][size]: a work-item an element."""
    body = [
        f"const int e = g0 * {_ITEMS} + (int)get_local_id(0);",
        f"if (e < {size}) {{ float sum = 0; for (int p = 0; p < {parts}; p++) sum += P[(size_t)p * {size} + e]; dW[e] = sum; }}",
    ]
    arguments = Argument("P", "in", parts * size), Argument("dW", "out", size)
    return Kernel(
        label + "_parts", tuple(body), arguments, (ceil_div(size, _ITEMS), 1, 1), local=(_ITEMS, 1, 1),
        bytes=4 * (parts + 1) * size, variant=f"add {parts} parts",
    )  # fmt: skip
