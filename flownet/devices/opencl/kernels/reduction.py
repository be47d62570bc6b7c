"""Reductions of expressions over axes: several sums, maxima and minima in one pass over the operands.

Axes are merged as far as they are all kept or all reduced. If the last one is reduced, vectors run along it and are folded at the end; if it is
kept, each lane is a result of its own. Where there are too few results to keep all cores busy, the reduced axes are cut into
parts, and a second kernel reduces the parts: the order of additions depends on the shape alone, so results are the same in every run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flownet.devices.opencl.expressions import as_scalars, to_steps
from flownet.devices.opencl.kernels.elementwise import CTYPES, Shared, _index, load, merged_axes
from flownet.devices.opencl.kernels.epilogue import evaluate
from flownet.devices.opencl.kernels.kernel import Kernel, Steps, ceil_div, preamble, product, store_part
from flownet.devices.opencl.kernels.work_group import START, SUB_GROUPS, combined, fold
from flownet.devices.opencl.target import Target
from flownet.expression import Expression, Name

__all__ = ["reduction"]

_LARGE = 1 << 15  # operations from which on more than one core is worth it
_GROUP = 256  # work-items that reduce one result together on a GPU


def reduction(
    terms: Sequence[tuple[str, str, Expression]],
    shape: Sequence[int],
    axes: Sequence[int],
    operands: Mapping[str, tuple[Sequence[int], str]],
    target: Target,
) -> Steps:
    """Kernels of the terms (output, kind, expression). Arguments: `i_<operand>`, `o_<output>`, scratch `p_<output>`."""
    kept = product(d for i, d in enumerate(shape) if i not in axes)
    reduced = product(shape) // max(kept, 1)
    work = product(shape) * max(1, len(terms))
    if target.kind == "gpu" and _by_groups(shape, axes, reduced):
        parts = max(1, min(reduced // (8 * _GROUP), 4 * target.units // max(kept, 1)))
    elif target.kind == "gpu":
        parts = max(1, min(reduced // 64, 4096 // max(kept, 1)))
    else:
        v = target.vector
        last_kept = _last_is_kept(shape, axes)
        tasks = ceil_div(kept, v) if last_kept else kept
        parts = 1 if work < _LARGE or tasks >= 4 * target.units else min(ceil_div(4 * target.units, tasks), reduced)
    first = _pass(terms, shape, axes, operands, target, parts)
    if parts == 1:
        return Steps((first,))
    again = [(output, kind, Name(f"p{i}")) for i, (output, kind, _) in enumerate(terms)]
    second = _pass(
        again, (parts, kept), (0,), {f"p{i}": ((parts, kept), "float32") for i in range(len(terms))}, target, 1
    )
    renamed = {f"i_p{i}": f"p_{output}" for i, (output, _, _) in enumerate(terms)}
    text = re.compile(r"\bi_p\d+\b")
    second = Kernel(
        second.name, tuple(text.sub(lambda m: renamed[m[0]], line) for line in second.body),
        tuple(Shared(renamed.get(a.name, a.name), a.access, a.size, a.ctype) for a in second.arguments),
        second.grid, second.preamble, second.local, second.flops, second.bytes, "add the parts", second.attributes,
    )  # fmt: skip
    return Steps((first, second), {f"p_{output}": parts * kept for output, _, _ in terms})


def _last_is_kept(shape: Sequence[int], axes: Sequence[int]) -> bool:
    real = [i for i, d in enumerate(shape) if d > 1]
    return bool(real) and real[-1] not in axes


def _by_groups(shape: Sequence[int], axes: Sequence[int], reduced: int) -> bool:
    """Whether a GPU gives a result to a whole work-group: neighbours in memory belong to one result, and it has many."""
    return not _last_is_kept(shape, axes) and reduced >= _GROUP


def _pass(terms, shape, axes, operands, target: Target, parts: int) -> Kernel:
    marks = [i in axes for i in range(len(shape))]
    merged = merged_axes(shape, {n: s for n, (s, _) in operands.items()}, marks)
    flags, position = [], 0
    for axis, d in enumerate(shape):  # which merged axes are reduced: follow the sizes
        if d == 1:
            continue
        if position == 0:
            flags.append(marks[axis])
            position = d
        else:
            position *= d
        if position == merged.sizes[len(flags) - 1]:
            position = 0
    sizes = merged.sizes
    k_axes = [i for i, flag in enumerate(flags) if not flag]
    r_axes = [i for i, flag in enumerate(flags) if flag]
    kept, reduced = product(sizes[i] for i in k_axes), product(sizes[i] for i in r_axes)
    ctypes = {name: CTYPES[dtype] for name, (_, dtype) in operands.items()}
    prefix = "o" if parts == 1 else "p"
    arguments = [Shared(f"i_{n}", "in", product(operands[n][0]), ctypes[n]) for n in operands]
    arguments += [Shared(f"{prefix}_{output}", "out", parts * kept) for output, _, _ in terms]
    steps, found = to_steps({output: expression for output, _, expression in terms}, inline=target.kind == "cpu")
    facts = {"flops": kept * reduced * len(terms), "bytes": 4 * sum(a.size for a in arguments)}
    strides = merged.strides

    def offset(name: str, axes_: Sequence[int], number: str) -> str:
        return _index(number, [sizes[i] for i in axes_], [strides[name][i] for i in axes_])

    if target.kind == "gpu":
        inside = _inside(operands, ctypes, steps, offset, (k_axes, r_axes))
        inside += [f"a_{output} = {fold(kind, f'a_{output}', f'v_{found[output]}')};" for output, kind, _ in terms]
        if _by_groups(shape, axes, reduced):
            return _groups(terms, inside, arguments, kept, reduced, parts, prefix, facts, target)
        return _each(terms, inside, arguments, kept, reduced, parts, prefix, facts)
    v = target.vector

    def compute(offsets: Mapping[str, str], inner: Mapping[str, int], left: str | None) -> list[str]:
        lines = ["{"]
        for name in operands:
            lines += load(name, f"i_{name} + {offsets[name]}", inner[name], ctypes[name], left, target)
        vectors = set(operands)
        for name, expression in steps:
            lines += evaluate(name, expression, vectors, set(), target)
            vectors.add(name)
        for output, kind, _ in terms:
            if left is None:
                lines.append(f"a_{output} = {fold(kind, f'a_{output}', f'v_{found[output]}')};")
            else:
                lines.append(
                    f"const vec f_{output} = LANES < (ivec)({left}) ? v_{found[output]} : (vec)({START[kind]});"
                )
                lines.append(f"a_{output} = {fold(kind, f'a_{output}', f'f_{output}')};")
        return [*lines, "}"]

    start = [f"vec a_{output} = (vec)({START[kind]});" for output, kind, _ in terms]
    common = {"preamble": (preamble(target),), "attributes": target.attributes}
    if k_axes and k_axes[-1] == len(sizes) - 1:  # lanes are results
        inner = sizes[-1]
        outer = k_axes[:-1]
        vectors_ = ceil_div(inner, v)
        tasks = product(sizes[i] for i in outer) * vectors_
        share = 1 if kept * reduced >= _LARGE else tasks
        part = ceil_div(reduced, parts)
        lane = {name: strides[name][-1] for name in operands}
        # the last reduced axis is a loop of its own, without divisions
        last_r = sizes[r_axes[-1]] if r_axes else 1
        r_strides = {name: strides[name][r_axes[-1]] if r_axes else 0 for name in operands}
        body = [f"for (int task = g0 * {share}; task < min((g0 + 1) * {share}, {tasks}); task++) {{"]
        body.append(f"const int o = task / {vectors_}, i = task % {vectors_} * {v};")
        for name in operands:
            along = "" if lane[name] == 0 else " + i" if lane[name] == 1 else f" + i * {lane[name]}"
            body.append(f"const size_t k_{name} = {offset(name, outer, 'o')}{along};")
        body += start
        left = f"({inner} - i)" if inner % v else None
        loops = [
            f"int r = g1 * {part}; const int end = min(r + {part}, {reduced});",
            f"while (r < end) {{ const int q = r / {last_r}; int j = r % {last_r}; const int stop = min({last_r}, j + end - r);",
            "r += stop - j;",
        ]
        for name in operands:
            loops.append(f"const size_t b_{name} = k_{name} + {offset(name, r_axes[:-1], 'q')};")
        loops.append("for (; j < stop; j++)")
        offsets = {n: f"b_{n} + j * {r_strides[n]}" if r_strides[n] else f"b_{n}" for n in operands}
        whole = [*loops, *compute(offsets, lane, None), "}"]
        if left is None:
            body += ["{", *whole, "}"]
        else:
            body += [f"if (i + {v} <= {inner}) {{", *whole, "} else {", *loops, *compute(offsets, lane, left), "}", "}"]
        for output, _, _ in terms:
            place = f"{prefix}_{output} + (size_t)g1 * {kept} + o * {inner} + i"
            if left is None:
                body.append(f"*(__global vecu*)({place}) = a_{output};")
            else:
                body.append(f"if (i + {v} <= {inner}) *(__global vecu*)({place}) = a_{output};")
                body += [f"else {{ {' '.join(store_part(f'a_{output}', place, str(inner % v), target))} }}"]
        body.append("}")
        return Kernel(
            "reduce",
            tuple(body),
            tuple(arguments),
            (ceil_div(tasks, share), parts, 1),
            variant=f"lanes of {inner}, {parts} parts",
            **facts,
            **common,
        )
    # vectors along the last reduced axis
    inner = sizes[-1] if sizes else 1
    outer_r = r_axes[:-1]
    rows = reduced // inner
    lane = {name: strides[name][-1] if sizes else 0 for name in operands}
    share = (
        1
        if kept * reduced >= _LARGE and kept <= 64
        else ceil_div(kept, 8 * target.units)
        if kept * reduced >= _LARGE
        else kept
    )
    body = [f"for (int k = g0 * {share}; k < min((g0 + 1) * {share}, {kept}); k++) {{"]
    for name in operands:
        body.append(f"const size_t k_{name} = {offset(name, k_axes, 'k')};")
    body += start
    if rows == 1:
        part = ceil_div(ceil_div(inner, parts), v) * v
        body.append(f"{{ const int q = 0; int i = g1 * {part}; const int end = min(i + {part}, {inner});")
    else:
        part = ceil_div(rows, parts)
        body.append(
            f"for (int q = g1 * {part}; q < min((g1 + 1) * {part}, {rows}); q++) {{ int i = 0; const int end = {inner};"
        )
    for name in operands:
        body.append(f"const size_t b_{name} = k_{name} + {offset(name, outer_r, 'q')};")
    offsets = {
        n: f"b_{n}" + ("" if lane[n] == 0 else " + i" if lane[n] == 1 else f" + i * {lane[n]}") for n in operands
    }
    body += [f"for (; i + {v} <= end; i += {v})", *compute(offsets, lane, None)]
    if inner % v:
        body += ["if (i < end) {", *compute(offsets, lane, "(end - i)"), "}"]
    body.append("}")
    for output, kind, _ in terms:
        whole, width = f"a_{output}", v
        while width > 1:  # halves on halves
            width //= 2
            kind_of = f"float{width}" if width > 1 else "float"
            body.append(f"const {kind_of} s{width}_{output} = {fold(kind, f'{whole}.lo', f'{whole}.hi')};")
            whole = f"s{width}_{output}"
        body.append(f"{prefix}_{output}[(size_t)g1 * {kept} + k] = {whole};")
    body.append("}")
    return Kernel(
        "reduce",
        tuple(body),
        tuple(arguments),
        (ceil_div(kept, share), parts, 1),
        variant=f"vectors along {inner}, {parts} parts",
        **facts,
        **common,
    )


def _inside(operands, ctypes, steps, offset, axes) -> list[str]:
    """C of the expressions for single floats: from `k`, a result, and `r`, an element of it."""
    k_axes, r_axes = axes
    lines, names = [], set(ctypes)
    for name in operands:
        at = f"{offset(name, k_axes, 'k')} + {offset(name, r_axes, 'r')}"
        lines.append(f"const float v_{name} = (float)i_{name}[{at}];")
    for name, expression in steps:
        lines.append(f"const float v_{name} = {as_scalars(expression, names)};")
        names.add(name)
    return lines


def _each(terms, inside, arguments, kept, reduced, parts, prefix, facts) -> Kernel:
    """One work-item a result and part, for GPUs."""
    part = ceil_div(reduced, parts)
    body = [
        "const int e = g0 * 64 + (int)get_local_id(0);",
        f"if (e < {kept * parts}) {{",
        f"const int k = e % {kept}, p = e / {kept};",
        *(f"float a_{output} = {START[kind]};" for output, kind, _ in terms),
        f"for (int r = p * {part}; r < min((p + 1) * {part}, {reduced}); r++) {{",
        *inside,
        "}",
        *(f"{prefix}_{output}[(size_t)p * {kept} + k] = a_{output};" for output, _, _ in terms),
        "}",
    ]
    grid = (ceil_div(kept * parts, 64), 1, 1)
    return Kernel(
        "reduce", tuple(body), tuple(arguments), grid, local=(64, 1, 1), variant=f"{parts} parts", **facts
    )  # fmt: skip


def _groups(terms, inside, arguments, kept, reduced, parts, prefix, facts, target) -> Kernel:
    """One work-group a result and part, for GPUs: neighbours read side by side, and what they found is put together."""
    part = ceil_div(reduced, parts)
    places = [f"{prefix}_{output}[(size_t)p * {kept} + k]" for output, _, _ in terms]
    found = [(kind, f"a_{output}", place) for (output, kind, _), place in zip(terms, places, strict=True)]
    body = [
        f"const int item = get_local_id(0), k = g0 % {kept}, p = g0 / {kept};",
        *(f"float a_{output} = {START[kind]};" for output, kind, _ in terms),
        f"for (int r = p * {part} + item; r < min((p + 1) * {part}, {reduced}); r += {_GROUP}) {{",
        *inside,
        "}",
        *combined(found, _GROUP, target),
    ]
    within = f", sub-groups by {target.sub_groups}" if target.sub_groups else ""
    return Kernel(
        "reduce", tuple(body), tuple(arguments), (kept * parts, 1, 1), local=(_GROUP, 1, 1),
        preamble=(SUB_GROUPS,) if target.sub_groups else (),
        variant=f"a group of {_GROUP} a result, {parts} parts{within}", **facts,
    )  # fmt: skip
