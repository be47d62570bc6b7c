"""Kernels for GPUs: a local-memory tiled matrix product, and convolutions as the same product over an image that is
gathered on the fly.

Correct on every device with local memory and barriers (PoCL's CPU too, which is how they are tested); plain layouts
throughout: images NCHW, weights as the user stores them. A work-group of 16 x 16 work-items computes a 64 x 64 tile of
the result, 4 x 4 elements a work-item, and takes k in slices of 16 through local memory. Neighbouring work-items read
and write neighbouring columns.

All three directions of a convolution are one product C[m][n] = sum over k of A[m][k] * B[k][n], with elements fetched
by C expressions:
    forward          m = filters of a group, n = image and pixel of y,  k = channel and tap
    input gradient   m = channels of a group, n = image and pixel of dx, k = filter and tap (zero where the stride
    misses) weight gradient  m = filters of a group, n = channel and tap,        k = image and pixel of y

Epilogues run element by element: `vec` means `float`. Sums (statistics) are not offered here.
"""

from __future__ import annotations

import re

from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.geometry import Convolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div
from flownet.devices.opencl.kernels.matmul import Matmul
from flownet.devices.opencl.target import Target

__all__ = ["convolution", "input_gradient", "matmul", "weight_gradient"]

_TILE, _SLICE, _SIDE = 64, 16, 16
_EACH = _TILE // _SIDE


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


def _tiled(
    name: str,
    size: tuple[int, int, int],
    batch: int,
    fetch_a: list[str],
    fetch_b: list[str],
    store: list[str],
    arguments: tuple[Argument, ...],
    flops: int,
    count: int,
) -> Kernel:
    """The product. `fetch_a` sets `value` from (i, k, z), `fetch_b` from (k, j, z), inside the bounds; `store` uses
    (i, j, z, v_acc)."""
    m, n, kk = size
    body = [
        f"__local float as[{_SLICE}][{_TILE + 1}], bs[{_SLICE}][{_TILE}];",
        "const int lx = get_local_id(0), ly = get_local_id(1), z = g2;",
        f"float c[{_EACH}][{_EACH}];",
        f"for (int r = 0; r < {_EACH}; r++) for (int s = 0; s < {_EACH}; s++) c[r][s] = 0;",
        f"for (int k0 = 0; k0 < {kk}; k0 += {_SLICE}) {{",
        f"for (int e = ly * {_SIDE} + lx; e < {_TILE * _SLICE}; e += {_SIDE * _SIDE}) {{",
        f"{{ const int k = k0 + e % {_SLICE}, i = g1 * {_TILE} + e / {_SLICE}; float value = 0;",
        f"if (i < {m} && k < {kk}) {{ {' '.join(fetch_a)} }}",
        f"as[e % {_SLICE}][e / {_SLICE}] = value; }}",
        f"{{ const int k = k0 + e / {_TILE}, j = g0 * {_TILE} + e % {_TILE}; float value = 0;",
        f"if (j < {n} && k < {kk}) {{ {' '.join(fetch_b)} }}",
        f"bs[e / {_TILE}][e % {_TILE}] = value; }}",
        "}",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        f"for (int k = 0; k < {_SLICE}; k++) for (int r = 0; r < {_EACH}; r++) for (int s = 0; s < {_EACH}; s++)",
        f"c[r][s] = as[k][ly + r * {_SIDE}] * bs[k][lx + s * {_SIDE}] + c[r][s];",
        "barrier(CLK_LOCAL_MEM_FENCE);",
        "}",
        f"for (int r = 0; r < {_EACH}; r++) for (int s = 0; s < {_EACH}; s++) {{",
        f"const int i = g1 * {_TILE} + ly + r * {_SIDE}, j = g0 * {_TILE} + lx + s * {_SIDE};",
        f"if (i < {m} && j < {n}) {{ const float v_acc = c[r][s];",
        *store,
        "}",
        "}",
    ]
    return Kernel(
        name,
        tuple(body),
        arguments,
        (ceil_div(n, _TILE), ceil_div(m, _TILE), batch),
        local=(_SIDE, _SIDE, 1),
        flops=flops,
        bytes=count,
        variant=f"local memory {_TILE}x{_TILE}x{_SLICE}",
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
    fetches = [f"value = A[{a_base}{a}];"], [f"value = B[{b_base}{b}];"]
    return _tiled(p.label, (p.m, p.n, p.k), p.batch, *fetches, store, arguments, p.flops, p.bytes)


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
    return _tiled(p.label("conv2d"), size, p.groups, fetch_a, fetch_b, store, arguments, p.flops, p.bytes)


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
    return _tiled(p.label("conv2d_dx"), size, p.groups, fetch_a, fetch_b, store, arguments, p.flops, p.bytes)


def weight_gradient(p: Convolution, target: Target) -> Kernel:
    """Plain `dW` from plain `X` and `dY`."""
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
    arguments = (
        Argument("X", "in", p.batch * p.channels * p.height * p.width),
        Argument("dY", "in", p.batch * p.filters * pixels),
        Argument("dW", "out", p.filters * per_in * rs),
    )
    store = [f"dW[((size_t)z * {per_out} + i) * {per_in * rs} + j] = v_acc;"]
    size = (per_out, per_in * rs, p.batch * pixels)
    return _tiled(p.label("conv2d_dw"), size, p.groups, fetch_a, fetch_b, store, arguments, p.flops, p.bytes)
