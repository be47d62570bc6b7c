"""Depthwise convolution (one filter a channel) over the blocked layout: forward, input gradient, weight gradient.

Lanes are channels, so there is nothing to broadcast: `y[pixel] += x[pixel + offset[t]] * w[t]`, V channels at a time.
The work is bound by loads; taps of a row of pixels stay in the first cache.

Weights: float32[ceil(c / V)][tap][V], by `reorder_depthwise`; partial gradients: float32[n][ceil(c / V)][tap][V], for
`reduce_depthwise`.
"""

from __future__ import annotations

from flownet.devices.opencl.kernels.epilogue import Epilogue
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble
from flownet.devices.opencl.target import Target

__all__ = ["applies", "depthwise", "reduce_depthwise", "reorder_depthwise", "weight_gradient"]


def applies(p: Convolution) -> bool:
    """Whether every filter reads one channel of its own."""
    return p.groups == p.channels == p.filters and not p.planar and p.groups > 1


def depthwise(p: TapConvolution, target: Target, epilogue: Epilogue = Epilogue()) -> Kernel:
    """`Y = epilogue(X * F)` for either direction; partial sums have a row an image."""
    v = target.vector
    (channels, high, wide), (_, out_high, out_wide) = p.input, p.output
    blocks = ceil_div(channels, v)
    taps = p.taps or ((0, 0, 0),)  # none, where a stride steps over all of a small image: read by no class
    body = [
        f"__global const float* const x = X + ((size_t)g1 * {blocks} + g0) * {high * wide * v};",
        f"__global const float* const f = F + g0 * {len(taps) * v};",
        f"const int dh[] = {{{', '.join(str(t[0]) for t in taps)}}};",
        f"const int dw[] = {{{', '.join(str(t[1]) for t in taps)}}};",
        *epilogue.begin(1, f"g0 * {v}", channels, target),
    ]
    first = 0
    for cls in p.classes:
        last = first + len(cls.taps)
        body += [
            f"for (int i = 0; i < {cls.size[0]}; i++) for (int j = 0; j < {cls.size[1]}; j++) {{",
            "vec c = 0;",
            f"for (int t = {first}; t < {last}; t++) {{",
            f"const int h = i * {p.in_stride[0]} + dh[t], w = j * {p.in_stride[1]} + dw[t];",
            f"if (h >= 0 && h < {high} && w >= 0 && w < {wide})",
            f"c = *(__global const vecu*)(x + (h * {wide} + w) * {v}) * *(__global const vecu*)(f + t * {v}) + c;",
            "}",
        ]
        row = f"i * {p.out_stride[0]} + {cls.phase[0]}"
        column = f"j * {p.out_stride[1]} + {cls.phase[1]}"
        place = f"((((size_t)g1 * {blocks} + g0) * {out_high} + {row}) * {out_wide} + {column}) * {v}"
        body += [*epilogue.store("c", place, target), "}"]
        first = last
    body += epilogue.end(1, "g1", f"g0 * {v}", blocks * v, v)
    arguments = (
        Argument("X", "in", p.batch * blocks * v * high * wide),
        Argument("F", "in", blocks * len(taps) * v),
        *epilogue.arguments(p.batch * blocks * v * out_high * out_wide, channels, p.batch, blocks * v),
    )
    return _kernel(p.label + "_depthwise", body, arguments, (blocks, p.batch, 1), target, p.flops, p.bytes)


def weight_gradient(p: Convolution, target: Target) -> Kernel:
    """Partial sums `P`, one an image, from blocked `X` and `dY`."""
    v = target.vector
    t = TapConvolution.forward(p)
    blocks = ceil_div(p.channels, v)
    high, wide = p.output
    body = [
        f"__global const float* const x = X + ((size_t)g1 * {blocks} + g0) * {p.height * p.width * v};",
        f"__global const float* const dy = dY + ((size_t)g1 * {blocks} + g0) * {high * wide * v};",
        f"const int dh[] = {{{', '.join(str(tap[0]) for tap in t.taps)}}};",
        f"const int dw[] = {{{', '.join(str(tap[1]) for tap in t.taps)}}};",
        f"for (int t = 0; t < {len(t.taps)}; t++) {{",
        "vec c = 0;",
        f"for (int i = 0; i < {high}; i++) {{",
        f"const int h = i * {p.stride[0]} + dh[t];",
        f"if (h < 0 || h >= {p.height}) continue;",
        f"for (int j = 0; j < {wide}; j++) {{",
        f"const int w = j * {p.stride[1]} + dw[t];",
        f"if (w >= 0 && w < {p.width})",
        f"c = *(__global const vecu*)(x + (h * {p.width} + w) * {v}) * *(__global const vecu*)(dy + (i * {wide}"
        f" + j) * {v}) + c;",
        "}",
        "}",
        f"*(__global vecu*)(P + (((size_t)g1 * {blocks} + g0) * {len(t.taps)} + t) * {v}) = c;",
        "}",
    ]
    arguments = (
        Argument("X", "in", p.batch * blocks * v * p.height * p.width),
        Argument("dY", "in", p.batch * blocks * v * high * wide),
        Argument("P", "out", p.batch * blocks * len(t.taps) * v),
    )
    return _kernel(p.label("conv2d_dw") + "_depthwise", body, arguments, (blocks, p.batch, 1), target, p.flops, p.bytes)


def reorder_depthwise(p: TapConvolution, target: Target) -> Kernel:
    """`F` from plain `W`, `[c][1][r][s]`, zeros past c."""
    v, taps, channels = target.vector, max(1, len(p.taps)), p.input[0]
    body = [
        f"const int tap[] = {{{', '.join(str(t[2]) for t in p.taps) or 0}}};",
        f"for (int t = 0; t < {taps}; t++) for (int l = 0; l < {v}; l++)",
        f"F[(g0 * {taps} + t) * {v} + l] = g0 * {v} + l < {channels} ? W[(g0 * {v} + l) * {p.area} + tap[t]] : 0;",
    ]
    blocks = ceil_div(channels, v)
    arguments = (Argument("W", "in", channels * p.area), Argument("F", "out", blocks * taps * v))
    return _kernel(p.label + "_depthwise_filters", body, arguments, (blocks, 1, 1), target, 0, 8 * channels * taps)


def reduce_depthwise(p: Convolution, target: Target) -> Kernel:
    """Plain `dW` from the partial sums."""
    v, taps = target.vector, p.kernel[0] * p.kernel[1]
    blocks = ceil_div(p.channels, v)
    body = [
        f"for (int t = 0; t < {taps}; t++) {{",
        "vec sum = 0;",
        f"for (int n = 0; n < {p.batch}; n++)"
        f" sum += *(__global const vecu*)(P + (((size_t)n * {blocks} + g0) * {taps} + t) * {v});",
        f"for (int l = 0; l < min({v}, {p.channels} - g0 * {v}); l++) dW[(g0 * {v} + l) * {taps} + t] = sum[l];",
        "}",
    ]
    size = p.batch * blocks * taps * v
    arguments = (Argument("P", "in", size), Argument("dW", "out", p.channels * taps))
    return _kernel(p.label("conv2d_dw") + "_depthwise_reduce", body, arguments, (blocks, 1, 1), target, 0, 4 * size)


def _kernel(name, body, arguments, grid, target: Target, flops: int, size: int) -> Kernel:
    return Kernel(
        name,
        tuple(body),
        arguments,
        grid,
        (preamble(target),),
        flops=flops,
        bytes=size,
        variant=f"depthwise float{target.vector}",
        attributes=target.attributes,
    )
