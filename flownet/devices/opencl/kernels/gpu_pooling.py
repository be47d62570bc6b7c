"""Pooling for GPUs: plain images, a work-item an element of what comes out, so that nobody waits for anybody.

A gradient is gathered: a pixel asks every window that covers it for its share. Of equal maxima the first counts, as on the
CPU. Unpooling alone scatters, a work-group a plane: where two values claim a pixel, the later one gets it, whoever runs first.
"""

from __future__ import annotations

from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div

__all__ = ["pool", "pool_gradient", "unpool"]

Pair = tuple[int, int]
_GROUP = 256
_LARGER = "(c > m) || (c != c)"  # NaN wins, and stays: nothing is larger


def _elements(name: str, body: list[str], arguments: list[Argument], planes: int, size: Pair, flops: int) -> Kernel:
    """A work-item for each (plane, i, j) of `planes` images of `size`."""
    high, wide = size
    count = planes * high * wide
    first = f"const int e = g0 * {_GROUP} + (int)get_local_id(0); if (e < {count}) {{"
    place = f"const int plane = e / {high * wide}, i = e / {wide} % {high}, j = e % {wide};"
    return Kernel(
        name, (first, place, *body, "}"), tuple(arguments), (ceil_div(count, _GROUP), 1, 1), local=(_GROUP, 1, 1),
        flops=flops, bytes=4 * sum(a.size for a in arguments), variant="an element a work-item",
    )  # fmt: skip


def _window(p, i: str, j: str) -> str:
    """C that sets the bounds [h0, h1) x [w0, w1) of window (i, j), cut to the image."""
    lines = []
    for letter, index, axis in (("h", i, 0), ("w", j, 1)):
        start = f"{index} * {p.stride[axis]} - {p.padding[axis][0]}"
        lines.append(
            f"const int {letter}0 = max({start}, 0), {letter}1 = min({start} + {p.kernel[axis]}, {p.size[axis]});"
        )
    return " ".join(lines)


def _share(p) -> str:
    return f"{p.kernel[0] * p.kernel[1]}.0f" if p.include_padding else "(float)((h1 - h0) * (w1 - w0))"


def _maximum(p) -> list[str]:
    """C that sets `m` to the maximum of a window, and `at` to its first place."""
    return [
        f"float m = -INFINITY; int at = h0 * {p.size[1]} + w0;",
        "for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) {",
        f"const float c = xp[h * {p.size[1]} + w]; if ({_LARGER}) {{ m = c; at = h * {p.size[1]} + w; }} }}",
    ]


def pool(p, planes: int) -> Kernel:
    """`y`, and `indices` where `p` (a `flownet.kernels.Pool`) has them, from `x`."""
    inputs, outputs = p.size[0] * p.size[1], p.output[0] * p.output[1]
    body = [f"__global const float* const xp = x + (size_t)plane * {inputs};", _window(p, "i", "j")]
    arguments = [Argument("x", "in", planes * inputs), Argument("y", "out", planes * outputs)]
    if p.kind == "max":
        body += [*_maximum(p), "y[e] = m;"]
        if p.indices:
            body.append("indices[e] = (float)at;")
            arguments.append(Argument("indices", "out", planes * outputs))
    else:
        body += [
            "float sum = 0;",
            f"for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) sum += xp[h * {p.size[1]} + w];",
            f"y[e] = sum / {_share(p)};",
        ]
    return _elements(f"{p.kind}_pool", body, arguments, planes, p.output, planes * outputs * p.kernel[0] * p.kernel[1])


def pool_gradient(p, planes: int) -> Kernel:
    """`dx` from `dy`, and for maxima `x`."""
    inputs, outputs = p.size[0] * p.size[1], p.output[0] * p.output[1]
    body = ["float g = 0;"]
    for name, index, axis in (("a", "i", 0), ("b", "j", 1)):
        k, s, before = p.kernel[axis], p.stride[axis], p.padding[axis][0]
        # windows [a * s - before, a * s - before + k) that hold the pixel; C divides towards zero, hence the cases
        first = f"({index} + {before} < {k} ? 0 : ({index} + {before} - {k}) / {s} + 1)"
        body.append(f"const int {name}0 = {first}, {name}1 = min(({index} + {before}) / {s}, {p.output[axis] - 1});")
    body += [
        f"__global const float* const dyp = dy + (size_t)plane * {outputs};",
        *([f"__global const float* const xp = x + (size_t)plane * {inputs};"] if p.kind == "max" else []),
        "for (int a = a0; a <= a1; a++) for (int b = b0; b <= b1; b++) {",
        _window(p, "a", "b"),
        "if (i < h0 || i >= h1 || j < w0 || j >= w1) continue;",
    ]
    d = f"dyp[a * {p.output[1]} + b]"
    if p.kind == "max":
        body += [*_maximum(p), f"if (at == i * {p.size[1]} + j) g += {d};"]
    else:
        body.append(f"g += {d} / {_share(p)};")
    body += ["}", "dx[e] = g;"]
    arguments = [Argument("dy", "in", planes * outputs)]
    if p.kind == "max":
        arguments.append(Argument("x", "in", planes * inputs))
    arguments.append(Argument("dx", "out", planes * inputs))
    work = planes * outputs * p.kernel[0] * p.kernel[1]
    return _elements(f"{p.kind}_pool_dx", body, arguments, planes, p.size, work)


def unpool(planes: int, small: Pair, large: Pair, *, back: bool = False) -> Kernel:
    """`y` [planes][large] with `x` [planes][small] at `indices`, zeros elsewhere; `back`: `y` [small] from `x` [large].

    A place outside gives NaN, there or at place 0, which the check of the loss finds.
    """
    few, many = small[0] * small[1], large[0] * large[1]
    sizes = (many, few) if back else (few, many)
    arguments = [
        Argument("x", "in", planes * sizes[0]), Argument("indices", "in", planes * few), Argument("y", "out", planes * sizes[1]),
    ]  # fmt: skip
    if back:
        body = [
            "const uint place = (uint)(int)indices[e];",
            f"y[e] = place < {many} ? x[(size_t)plane * {many} + place] : NAN;",
        ]
        return _elements("unpool", body, arguments, planes, small, planes * few)
    # y first holds who gets a pixel: the largest number of those that claim it
    body = [
        f"const int item = get_local_id(0); __global const float* const at = indices + (size_t)g0 * {few};",
        f"__global const float* const xp = x + (size_t)g0 * {few};",
        f"__global float* const yp = y + (size_t)g0 * {many}; volatile __global int* const owner = (volatile __global int*)yp;",
        "__local int outside; if (item == 0) outside = 0;",
        f"for (int q = item; q < {many}; q += {_GROUP}) owner[q] = -1;",
        "barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);",
        f"for (int q = item; q < {few}; q += {_GROUP}) {{",
        f"const uint place = (uint)(int)at[q]; if (place < {many}) atomic_max(owner + place, q); else outside = 1;",
        "}",
        "barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);",
        f"for (int q = item; q < {many}; q += {_GROUP}) {{ const int who = owner[q]; yp[q] = who < 0 ? 0.0f : xp[who]; }}",
        "if (item == 0 && outside) yp[0] = NAN;",
    ]
    return Kernel(
        "unpool", tuple(body), tuple(arguments), (planes, 1, 1), local=(_GROUP, 1, 1), flops=planes * few,
        bytes=4 * sum(a.size for a in arguments), variant="a plane a work-group",
    )  # fmt: skip
