"""Kernels that compute single elements: copies to other places, rows by index, other element types, a plugin's own C.

The C computes element `i`; a CPU's work-item takes a piece of the range in a loop (which compilers turn into vectors where they can), a
GPU's takes one element.
"""

from __future__ import annotations

from collections.abc import Sequence

from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble, product
from flownet.devices.opencl.target import Target

__all__ = ["each", "gather", "join", "moved", "resample", "scatter_add"]


def each(
    name: str,
    lines: Sequence[str],
    arguments: Sequence[Argument],
    count: int,
    target: Target,
    *,
    work: int = 1,
    functions: Sequence[str] = (),
    flops: int = 0,
    variant: str = "element by element",
) -> Kernel:
    """C in which `i` counts from 0 to `count`; `work` says how much an element costs, in additions."""
    facts = {"flops": flops, "bytes": 4 * sum(a.size for a in arguments), "variant": variant}
    if target.kind == "gpu":
        body = ["const int i = g0 * 64 + (int)get_local_id(0);", f"if (i < {count}) {{", *lines, "}"]
        return Kernel(
            name, tuple(body), tuple(arguments), (ceil_div(count, 64), 1, 1), tuple(functions), (64, 1, 1), **facts
        )
    groups = 1 if count * work < 1 << 14 else min(count, 8 * target.units)
    piece = ceil_div(count, groups)
    body = [f"for (int i = g0 * {piece}; i < min((g0 + 1) * {piece}, {count}); i++) {{", *lines, "}"]
    # no AVX-512 attribute here: the C may call anything
    return Kernel(
        name, tuple(body), tuple(arguments), (ceil_div(count, piece), 1, 1), (preamble(target), *functions),
        attributes="__attribute__((noinline))", **facts,
    )  # fmt: skip


def moved(
    shape: Sequence[int],
    coordinates: Sequence[tuple[int, int | None, int, int]],
    fill: float,
    source: Sequence[int],
    ctype: str,
    target: Target,
    *,
    gaps: bool = False,
) -> Kernel:
    """`y` of `shape` from `x` of `source`, as `flownet.kernels.Copy` says: a row of the last axis an element of the range."""
    rank = len(shape)
    inner = shape[-1] if rank else 1
    rows = product(shape[:-1])
    lines, below = [], 1
    for axis in reversed(range(rank - 1)):
        lines.append(f"const int a{axis} = i / {below} % {shape[axis]};")
        below *= shape[axis]
    strides, step = [], 1
    for size in reversed(source):
        strides.insert(0, step)
        step *= size
    fixed, moving, conditions, inner_conditions = ["0"], [], [], []
    for (offset, axis, step_, divisor), size, stride in zip(coordinates, source, strides, strict=True):
        if axis is None:
            fixed.append(f"{offset * stride}")
            continue
        text = f"a{axis}" if step_ == 1 else f"a{axis} * {step_}"
        text = f"({text}) / {divisor}" if divisor > 1 else text
        text = f"({offset} + {text})" if offset else text
        ends = [offset + a * step_ // divisor for a in (0, shape[axis] - 1)]
        inside = [f"{text} >= 0"] if min(ends) < 0 else []
        inside += [f"{text} < {size}"] if max(ends) >= size else []
        inside += [f"a{axis} * {step_} % {divisor} == 0"] if gaps and divisor > 1 else []
        (inner_conditions if axis == rank - 1 else conditions).extend(inside)
        (moving if axis == rank - 1 else fixed).append(f"({text}) * {stride}")
    lines.append(f"__global const {ctype}* const from = x + ({' + '.join(fixed)});")
    lines.append(f"__global {ctype}* const to = y + (size_t)i * {inner};")
    last = f"a{rank - 1}"
    value = f"from[{' + '.join(moving) or '0'}]"
    if inner_conditions:
        value = f"({' && '.join(inner_conditions)}) ? {value} : ({ctype}){fill!r}"
    loop = f"for (int {last} = 0; {last} < {inner}; {last}++) to[{last}] = {value};" if rank else "to[0] = from[0];"
    if conditions:
        empty = f"for (int {last} = 0; {last} < {inner}; {last}++) to[{last}] = ({ctype}){fill!r};"
        lines.append(f"if ({' && '.join(conditions)}) {{ {loop} }} else {{ {empty} }}")
    else:
        lines.append(loop)
    arguments = (Argument("x", "in", product(source), ctype), Argument("y", "out", product(shape), ctype))
    return each("copy", lines, arguments, rows, target, work=inner)


def join(shapes: Sequence[Sequence[int]], axis: int, ctype: str, target: Target) -> Kernel:
    """`y` from `x0`, `x1`, … one behind the other: an outer row of all of them an element of the range."""
    outer = product(shapes[0][:axis])
    sizes = [product(shape[axis:]) for shape in shapes]
    whole = sum(sizes)
    lines, at = [], 0
    for number, size in enumerate(sizes):
        lines.append(
            f"for (int l = 0; l < {size}; l++) y[(size_t)i * {whole} + {at} + l] = x{number}[(size_t)i * {size} + l];"
        )
        at += size
    arguments = [Argument(f"x{n}", "in", outer * size, ctype) for n, size in enumerate(sizes)]
    return each("join", lines, (*arguments, Argument("y", "out", outer * whole, ctype)), outer, target, work=whole)


def gather(rows: int, width: int, count: int, index_type: str, target: Target) -> Kernel:
    """Row `index[i]` of `table` for each i; NaN for an index outside."""
    lines = [
        "const long at = (long)index[i];",
        f"for (int l = 0; l < {width}; l++) y[(size_t)i * {width} + l] = at >= 0 && at < {rows} ? table[at * {width} + l] : NAN;",
    ]
    arguments = (
        Argument("table", "in", rows * width),
        Argument("index", "in", count, index_type),
        Argument("y", "out", count * width),
    )
    return each("gather", lines, arguments, count, target, work=width)


def scatter_add(rows: int, width: int, count: int, index_type: str, target: Target) -> Kernel:
    """`table`: a column of it an element of the range, so that nothing is added by two at a time, always in the same order."""
    lines = [
        f"for (int r = 0; r < {rows}; r++) table[(size_t)r * {width} + i] = 0;",
        f"for (int n = 0; n < {count}; n++) {{ const long at = (long)index[n];",
        f"if (at >= 0 && at < {rows}) table[at * {width} + i] += x[(size_t)n * {width} + i]; }}",
    ]
    arguments = (
        Argument("x", "in", count * width),
        Argument("index", "in", count, index_type),
        Argument("table", "out", rows * width),
    )
    return each("scatter_add", lines, arguments, width, target, work=rows + count)


def resample(outer: int, size: int, inner: int, out: int, taps: int, every: int, target: Target) -> Kernel:
    """`y` [outer][out][inner] from `x` [outer][size][inner], as `flownet.kernels.Resample` with `each=every` says.

    On a CPU a row of `inner` is an element of the range or, where rows are single numbers, a whole line.
    """
    arguments = [Argument("x", "in", outer * size * inner), Argument("y", "out", outer * out * inner)]
    arguments += [Argument("starts", "in", out + 1, "int"), Argument("index", "in", taps, "int")]
    arguments += [Argument("weight", "in", taps)]
    flops = 2 * outer * inner * taps
    if target.kind == "gpu":
        lines = [
            f"const int o = i / {inner} % {out};",
            f"__global const float* const from = x + (size_t)(i / {inner * out}) * {size * inner} + i % {inner};",
            *_weighted_sum("y[i]", inner, every),
        ]
        return each("resample", lines, arguments, outer * out * inner, target, flops=flops)
    if inner == 1:
        lines = [
            f"__global const float* const from = x + (size_t)i * {size};",
            f"__global float* const to = y + (size_t)i * {out};",
            f"for (int o = 0; o < {out}; o++) {{",
            *_weighted_sum("to[o]", 1, every),
            "}",
        ]
        return each("resample", lines, arguments, outer, target, work=4 * taps, flops=flops)
    lines = [
        f"const int o = i % {out}, begin = starts[o], end = starts[o + 1];",
        f"__global const float* const from = x + (size_t)(i / {out}) * {size * inner};",
        f"__global float* const to = y + (size_t)i * {inner};",
        f"if (begin == end) for (int l = 0; l < {inner}; l++) to[l] = 0;",
        "for (int t = begin; t < end; t++) {",
        f"__global const float* const row = from + (size_t)index[t] * {inner};",
        "const float w = weight[t];",
        f"if (t == begin) for (int l = 0; l < {inner}; l++) to[l] = w * row[l];",
        f"else for (int l = 0; l < {inner}; l++) to[l] += w * row[l];",
        "}",
    ]
    return each("resample", lines, arguments, outer * out, target, work=inner * max(1, taps // out), flops=flops)


def _weighted_sum(result: str, inner: int, every: int) -> list[str]:
    """C that sums what element `o` is made of; without a loop where all are made of equally many."""
    place = "index[{}]" if inner == 1 else f"(size_t)index[{{}}] * {inner}"
    if not every:
        term = f"weight[t] * from[{place.format('t')}]"
        return [f"float sum = 0; for (int t = starts[o]; t < starts[o + 1]; t++) sum += {term};", f"{result} = sum;"]
    terms = [f"weight[{every} * o + {k}] * from[{place.format(f'{every} * o + {k}')}]" for k in range(every)]
    return [f"{result} = {' + '.join(terms)};"]
