"""Reorders between the layouts: images plain <-> blocked, filters plain -> blocked, partial filter gradients ->
plain."""

from __future__ import annotations

from flownet.devices.opencl.kernels.direct import filter_shape
from flownet.devices.opencl.kernels.geometry import TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, identifier, preamble, product
from flownet.devices.opencl.target import Target

__all__ = ["block_image", "reduce_filters", "reorder_filters", "unblock_image"]


def block_image(batch: int, channels: int, pixels: int, target: Target) -> Kernel:
    """`Y` [n][ceil(c / V)][pixels][V] from plain `X` [n][c][pixels], zeros past c."""
    v = target.vector
    blocks = ceil_div(channels, v)
    body = [
        f"__global const float* x = X + ((size_t)g1 * {channels} + g0 * {v}) * {pixels};",
        f"__global float* y = Y + ((size_t)g1 * {blocks} + g0) * {pixels * v};",
        f"const int count = min({v}, {channels} - g0 * {v});",
        f"for (int p = 0; p < {pixels}; p++, y += {v}) {{",
        f"for (int l = 0; l < count; l++) y[l] = x[(size_t)l * {pixels} + p];",
        f"for (int l = count; l < {v}; l++) y[l] = 0;",
        "}",
    ]
    sizes = batch * channels * pixels, batch * blocks * v * pixels
    return _reorder(
        identifier("block", f"n{batch}_c{channels}_p{pixels}"), body, sizes, (blocks, batch, 1), target, "block"
    )


def unblock_image(batch: int, channels: int, pixels: int, target: Target) -> Kernel:
    """Plain `Y` [n][c][pixels] from `X` [n][ceil(c / V)][pixels][V]."""
    v = target.vector
    blocks = ceil_div(channels, v)
    body = [
        f"__global const float* x = X + ((size_t)g1 * {blocks} + g0) * {pixels * v};",
        f"__global float* y = Y + ((size_t)g1 * {channels} + g0 * {v}) * {pixels};",
        f"const int count = min({v}, {channels} - g0 * {v});",
        f"for (int p = 0; p < {pixels}; p++, x += {v})",
        f"for (int l = 0; l < count; l++) y[(size_t)l * {pixels} + p] = x[l];",
    ]
    sizes = batch * blocks * v * pixels, batch * channels * pixels
    name = identifier("unblock", f"n{batch}_c{channels}_p{pixels}")
    return _reorder(name, body, sizes, (blocks, batch, 1), target, "unblock")


def _reorder(
    name: str, body: list[str], sizes: tuple[int, int], grid: tuple[int, int, int], target: Target, variant: str
) -> Kernel:
    arguments = (Argument("X", "in", sizes[0]), Argument("Y", "out", sizes[1]))
    return Kernel(
        name,
        tuple(body),
        arguments,
        grid,
        (preamble(target),),
        bytes=4 * sum(sizes),
        variant=variant,
        attributes=target.attributes,
    )


def _filter_loops(p: TapConvolution, columns: int, target: Target, transposed: bool) -> tuple[list[str], str, str, str]:
    """C that runs over [c of the block] for filter vector g0 and block of channels g1: (lines, index of the first
    tap's vector in the blocked layout, index of lane l's first weight in the plain one, whether lane l is real)."""
    v = target.vector
    _, c_blocks, taps, c_block, block = filter_shape(p, columns, target)
    outs, ins = p.output[0], p.input[0]
    per_out, per_in = outs // p.groups, ins // p.groups
    firsts, _ = p.input_blocks(block, v)
    lines = [f"const int kb = g0 / {columns}, k0 = g0 * {v};"]
    if any(firsts):
        lines.append(f"const int firsts[{len(firsts)}] = {{{', '.join(map(str, firsts))}}};")
    first = "firsts[kb] + " if any(firsts) else ""
    lines.append(f"for (int c = 0; c < {c_block}; c++) {{")
    lines.append(f"const int channel = c + ({first}g1) * {c_block};")
    blocked = f"((((size_t)kb * {c_blocks} + g1) * {taps}) * {c_block} + c) * {block} + g0 % {columns} * {v}"
    if transposed:
        plain = f"((size_t)channel * {per_out} + (k0 + l) % {per_out}) * {p.area}"
    else:
        plain = f"((size_t)(k0 + l) * {per_in} + channel % {per_in}) * {p.area}"
    real = f"k0 + l < {outs} && channel < {ins}"
    if p.groups > 1:
        real += f" && (k0 + l) / {per_out} == channel / {per_in}"
    return lines, blocked, plain, real


def reorder_filters(p: TapConvolution, columns: int, target: Target, size: int, *, transposed: bool = False) -> Kernel:
    """`F` of `direct.filter_shape` from plain `W` of `size` floats, `[k][c / groups][r][s]` of the forward
    convolution; `transposed`: for its input gradient. Zeros where a block reaches past the channels or into another
    group."""
    v = target.vector
    shape = filter_shape(p, columns, target)
    _, c_blocks, taps, c_block, block = shape
    lines, blocked, plain, real = _filter_loops(p, columns, target, transposed)
    order = ", ".join(str(t[2]) for t in p.taps) or "0"
    body = [
        f"const int tap[{max(1, taps)}] = {{{order}}};",
        *lines,
        f"__global float* f = F + {blocked};",
        f"for (int l = 0; l < {v}; l++) {{",
        f"if ({real}) {{ __global const float* w = W + {plain};",
        f"for (int t = 0; t < {taps}; t++) f[t * {c_block * block} + l] = w[tap[t]]; }}",
        f"else for (int t = 0; t < {taps}; t++) f[t * {c_block * block} + l] = 0;",
        "}",
        "}",
    ]
    return Kernel(
        p.label + "_filters",
        tuple(body),
        (Argument("W", "in", size), Argument("F", "out", product(shape))),
        (shape[0] * columns, c_blocks, 1),
        (preamble(target),),
        bytes=4 * (size + product(shape)),
        variant="reorder filters",
        attributes=target.attributes,
    )


def reduce_filters(p: TapConvolution, columns: int, splits: int, target: Target, size: int) -> Kernel:
    """Plain `dW`, `size` floats, from the `splits` partial sums `P` of `weight_gradient.weight_gradient`; `p` is the
    forward pass."""
    v = target.vector
    shape = filter_shape(p, columns, target)
    _, c_blocks, taps, c_block, block = shape
    whole = product(shape)
    lines, blocked, plain, real = _filter_loops(p, columns, target, False)
    body = [
        *lines,
        f"__global const float* q = P + {blocked};",
        f"for (int t = 0; t < {taps}; t++) {{",
        "vec sum = 0;",
        f"for (int s = 0; s < {splits}; s++) sum += *(__global const vecu*)(q + (size_t)s * {whole} + t *"
        f" {c_block * block});",
        f"for (int l = 0; l < {v}; l++) if ({real}) dW[{plain} + t] = sum[l];",
        "}",
        "}",
    ]
    return Kernel(
        p.label + "_reduce",
        tuple(body),
        (Argument("P", "in", splits * whole), Argument("dW", "out", size)),
        (shape[0] * columns, c_blocks, 1),
        (preamble(target),),
        bytes=4 * (splits * whole + size),
        variant=f"add {splits} partial filters",
        attributes=target.attributes,
    )
