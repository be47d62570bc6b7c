"""Pooling over images blocked by channel, for CPUs.

One work-group takes a plane: an image and a block of channels. Gradients are added window by window into the plane, so that nobody else
writes to it. Indices count pixels of the plane, as floats (exact up to 2^24).
"""

from __future__ import annotations

from flownet.devices.opencl.kernels.kernel import Argument, Kernel, preamble
from flownet.devices.opencl.target import Target

__all__ = ["pool", "pool_gradient", "unpool"]

Pair = tuple[int, int]
_LEAST = "-INFINITY"
_LARGER = "m = ((c > m) | (c != c)) ? c : m;"  # NaN wins, and stays: nothing is larger


def _kernel(name: str, body: list[str], arguments: list[Argument], planes: int, flops: int, target: Target) -> Kernel:
    return Kernel(
        name, ("const int plane = g0;", *body), tuple(arguments), (planes, 1, 1), (preamble(target),), flops=flops,
        bytes=4 * sum(a.size for a in arguments), variant=f"planes of float{target.vector}", attributes=target.attributes,
    )  # fmt: skip


def _window(size: Pair, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> list[str]:
    """C that sets the window's bounds [h0, h1) x [w0, w1), cut to the image."""
    return [
        f"const int h0 = max(i * {stride[0]} - {padding[0][0]}, 0), h1 = min(i * {stride[0]} - {padding[0][0]} + {kernel[0]}, {size[0]});",
        f"const int w0 = max(j * {stride[1]} - {padding[1][0]}, 0), w1 = min(j * {stride[1]} - {padding[1][0]} + {kernel[1]}, {size[1]});",
    ]


def _count(kernel: Pair, include_padding: bool) -> str:
    return f"{kernel[0] * kernel[1]}.0f" if include_padding else "(float)((h1 - h0) * (w1 - w0))"


def _inside(size: Pair, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair], output: Pair) -> bool:
    return all(
        pad[0] == 0 and (o - 1) * s + k <= n
        for n, k, s, pad, o in zip(size, kernel, stride, padding, output, strict=True)
    )


def pool(p, planes: int, target: Target) -> Kernel:
    """`y`, and `indices` where `p` (a `flownet.kernels.Pool`) has them, from `x`."""
    v = target.vector
    (high, wide), (oh, ow) = p.size, p.output
    body = [f"__global const float* const xp = x + (size_t)plane * {high * wide * v};"]
    body.append(f"for (int i = 0; i < {oh}; i++) for (int j = 0; j < {ow}; j++) {{")
    at = f"((size_t)plane * {oh * ow} + i * {ow} + j) * {v}"
    pixel = f"*(__global const vecu*)(xp + (h * {wide} + w) * {v})"
    if _inside(p.size, p.kernel, p.stride, p.padding, p.output):  # no bounds to look at: unrolled
        body.append(f"const int hi = i * {p.stride[0]}, wi = j * {p.stride[1]};")
        loop = f"__attribute__((opencl_unroll_hint)) for (int r = 0; r < {p.kernel[0]}; r++) "
        loop += f"__attribute__((opencl_unroll_hint)) for (int s = 0; s < {p.kernel[1]}; s++) {{ const int h = hi + r, w = wi + s;"
        first, count = f"hi * {wide} + wi", f"{p.kernel[0] * p.kernel[1]}.0f"
    else:
        body += _window(p.size, p.kernel, p.stride, p.padding)
        loop = "for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) {"
        first, count = f"h0 * {wide} + w0", _count(p.kernel, p.include_padding)
    if p.kind == "max":
        body += [
            f"vec m = (vec)({_LEAST});",
            *([f"vec at = (vec)((float)({first}));"] if p.indices else []),
            loop,
            f"const vec c = {pixel};",
        ]
        if p.indices:
            body.append(f"at = c > m ? (vec)((float)(h * {wide} + w)) : at;")
        body += [f"{_LARGER} }}", f"*(__global vecu*)(y + {at}) = m;"]
        if p.indices:
            body.append(f"*(__global vecu*)(indices + {at}) = at;")
    else:
        body += ["vec m = 0;", loop, f"m += {pixel}; }}", f"*(__global vecu*)(y + {at}) = m / {count};"]
    body.append("}")
    arguments = [Argument("x", "in", planes * high * wide * v), Argument("y", "out", planes * oh * ow * v)]
    if p.kind == "max" and p.indices:
        arguments.append(Argument("indices", "out", planes * oh * ow * v))
    return _kernel(f"{p.kind}_pool", body, arguments, planes, planes * oh * ow * v * p.kernel[0] * p.kernel[1], target)


def pool_gradient(p, planes: int, target: Target) -> Kernel:
    """`dx` from `dy`, and for maxima `x`."""
    v = target.vector
    (high, wide), (oh, ow) = p.size, p.output
    body = [f"__global float* const dxp = dx + (size_t)plane * {high * wide * v};"]
    if p.kind == "max":
        body.append(f"__global const float* const xp = x + (size_t)plane * {high * wide * v};")
    tiles = p.kernel == p.stride and _inside(p.size, p.kernel, p.stride, p.padding, p.output)
    covers = tiles and (oh * p.stride[0], ow * p.stride[1]) == p.size
    if not covers:
        body.append(f"for (int q = 0; q < {high * wide}; q++) *(__global vecu*)(dxp + q * {v}) = 0;")
    body.append(f"for (int i = 0; i < {oh}; i++) for (int j = 0; j < {ow}; j++) {{")
    body.append(f"const vec d = *(__global const vecu*)(dy + ((size_t)plane * {oh * ow} + i * {ow} + j) * {v});")
    place = f"(h * {wide} + w) * {v}"
    if tiles:
        body.append(f"const int h0 = i * {p.stride[0]}, w0 = j * {p.stride[1]};")
        unroll = "__attribute__((opencl_unroll_hint)) "
        loop = f"{unroll}for (int r = 0; r < {p.kernel[0]}; r++) {unroll}for (int s = 0; s < {p.kernel[1]}; s++) {{ const int h = h0 + r, w = w0 + s;"
        count = f"{p.kernel[0] * p.kernel[1]}.0f"
    else:
        body += _window(p.size, p.kernel, p.stride, p.padding)
        loop = "for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) {"
        count = _count(p.kernel, p.include_padding)
    if p.kind == "max":
        body += [
            f"vec m = (vec)({_LEAST});",
            loop,
            f"const vec c = *(__global const vecu*)(xp + {place});",
            f"{_LARGER} }}",
        ]
        body += ["ivec left = (ivec)(-1);", loop]
        body.append(f"const vec c = *(__global const vecu*)(xp + {place});")
        body += ["const ivec hit = (c == m) & left; left &= ~hit;", "const vec g = hit ? d : (vec)(0.0f);"]
    else:
        body += [f"const vec g = d / {count};", loop]
    plus = "" if tiles else f"*(__global const vecu*)(dxp + {place}) + "
    body += [f"*(__global vecu*)(dxp + {place}) = {plus}g; }}", "}"]
    arguments = [Argument("dy", "in", planes * oh * ow * v)]
    if p.kind == "max":
        arguments.append(Argument("x", "in", planes * high * wide * v))
    arguments.append(Argument("dx", "out", planes * high * wide * v))
    return _kernel(
        f"{p.kind}_pool_dx", body, arguments, planes, planes * oh * ow * v * p.kernel[0] * p.kernel[1], target
    )


def unpool(planes: int, small: Pair, large: Pair, target: Target, *, back: bool = False) -> Kernel:
    """`y` [planes][large] with `x` [planes][small] at `indices`, zeros elsewhere; `back`: `y` [small] from `x` [large].

    A place outside gives NaN, there or at place 0, which the check of the loss finds.
    """
    v = target.vector
    few, many = small[0] * small[1], large[0] * large[1]
    body = [f"__global const float* const xp = x + (size_t)plane * {(many if back else few) * v};"]
    body.append(f"__global const float* const at = indices + (size_t)plane * {few * v};")
    body.append(f"__global float* const yp = y + (size_t)plane * {(few if back else many) * v};")
    if not back:
        body.append(f"for (int q = 0; q < {many}; q++) *(__global vecu*)(yp + q * {v}) = 0;")
    body += [
        f"float place[{v}] __attribute__((aligned(64)));",
        *([] if back else ["vec outside = 0;"]),
        f"for (int q = 0; q < {few}; q++) {{",
        f"const vec p = *(__global const vecu*)(at + q * {v});",
        f"*(vec*)place = p >= 0.0f && p < {many}.0f ? p : (vec)(0.0f);",
    ]
    if back:
        body += [
            f"for (int l = 0; l < {v}; l++) yp[q * {v} + l] = xp[(int)place[l] * {v} + l];",
            f"__global vecu* const there = (__global vecu*)(yp + q * {v});",
            f"*there = p >= 0.0f && p < {many}.0f ? *there : (vec)(NAN);",
            "}",
        ]
    else:
        body += [
            f"outside = p >= 0.0f && p < {many}.0f ? outside : (vec)(1.0f);",
            f"for (int l = 0; l < {v}; l++) yp[(int)place[l] * {v} + l] = xp[q * {v} + l];",
            "}",
            "*(__global vecu*)yp = outside > 0.0f ? (vec)(NAN) : *(__global vecu*)yp;",
        ]
    sizes = (many, few) if back else (few, many)
    arguments = [
        Argument("x", "in", planes * sizes[0] * v),
        Argument("indices", "in", planes * few * v),
        Argument("y", "out", planes * sizes[1] * v),
    ]
    return _kernel("unpool", body, arguments, planes, planes * few * v, target)
