"""Elementwise kernels: any number of expressions over operands that broadcast, in one pass.

Axes are merged until the operands cannot tell them apart. What is left is either one axis, which is cut into pieces whatever its
length (so that all updates of an optimiser share one function), or rows with a contiguous last axis. On a CPU a piece is a loop
over vectors in one work-item; on a GPU each work-item computes one element.

Outputs may be operands (in place): every element is read before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flownet.devices.opencl.expressions import as_scalars, to_steps
from flownet.devices.opencl.kernels.epilogue import evaluate
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, load_part, preamble, product, store_part
from flownet.devices.opencl.target import Target
from flownet.expression import Expression

__all__ = ["CTYPES", "Axes", "FlatKernel", "Shared", "elementwise", "merged_axes"]

CTYPES = {
    "float32": "float", "float64": "double", "int8": "char", "int16": "short", "int32": "int", "int64": "long",
    "uint8": "uchar", "uint32": "uint", "bool": "uchar",
}  # fmt: skip

_PIECE = 2048  # elements of the smallest piece that is worth a work-group


@dataclass(frozen=True)
class Shared(Argument):
    """An argument whose memory another argument may be, too."""

    def declaration(self) -> str:
        const = "const " if self.access == "in" else ""
        return f"__global {const}{self.ctype}* {self.name}"


@dataclass(frozen=True)
class FlatKernel(Kernel):
    """A kernel of one axis, whose work-groups get the length of a piece as `g1` and the number of elements as `g2`."""

    piece: int = 0
    count: int = 0

    def entry(self) -> str:
        arguments = ", ".join(a.declaration() for a in self.arguments)
        return "\n".join(
            [
                "__kernel __attribute__((reqd_work_group_size(1, 1, 1)))",
                f"void {self.name}({arguments}) {{",
                self.call("(int)get_group_id(0)", str(self.piece), str(self.count)),
                "}",
            ]
        )


@dataclass(frozen=True)
class Axes:
    """Merged axes: sizes, and for each operand its strides (0 where it is stretched)."""

    sizes: tuple[int, ...]
    strides: Mapping[str, tuple[int, ...]]


def merged_axes(shape: Sequence[int], operands: Mapping[str, Sequence[int]], marks: Sequence[bool] = ()) -> Axes:
    """The axes of `shape`, as few as tell operands of these shapes apart. Axes of different `marks` are never merged."""
    rank = len(shape)
    marks = list(marks) or [False] * rank
    strides: dict[str, list[int]] = {}
    for name, own in operands.items():
        own = (1,) * (rank - len(own)) + tuple(own)
        step, mine = 1, [0] * rank
        for axis in reversed(range(rank)):
            mine[axis] = 0 if own[axis] == 1 else step
            step *= own[axis]
        strides[name] = mine
    sizes: list[int] = []
    kept: dict[str, list[int]] = {name: [] for name in operands}
    last_mark = None
    for axis in range(rank):
        if shape[axis] == 1:
            continue
        joins = (
            bool(sizes)
            and marks[axis] == last_mark
            and all(kept[name][-1] == strides[name][axis] * shape[axis] for name in operands)
        )
        if joins:
            sizes[-1] *= shape[axis]
            for name in operands:
                kept[name][-1] = strides[name][axis]
        else:
            sizes.append(shape[axis])
            for name in operands:
                kept[name].append(strides[name][axis])
        last_mark = marks[axis]
    return Axes(tuple(sizes), {name: tuple(mine) for name, mine in kept.items()})


def load(name: str, pointer: str, stride: int, ctype: str, count: str | None, target: Target) -> list[str]:
    """C that declares `v_<name>`: V elements from `pointer`, or one for all lanes where the stride is 0."""
    v = target.vector
    if stride == 0:
        return [f"const vec v_{name} = (vec)((float)({pointer})[0]);"]
    if stride == 1 and ctype == "float" and count is None:
        return [f"const vec v_{name} = *(__global const vecu*)({pointer});"]
    if stride == 1 and ctype == "float":
        return load_part(f"v_{name}", pointer, count)
    at = "l" if stride == 1 else f"l * {stride}"
    return [f"vec v_{name} = 0; for (int l = 0; l < {count or v}; l++) v_{name}[l] = (float)({pointer})[{at}];"]


def store(variable: str, pointer: str, ctype: str, count: str | None, target: Target) -> list[str]:
    """C that writes V elements, or `count` of them."""
    if ctype == "float" and count is None:
        return [f"*(__global vecu*)({pointer}) = {variable};"]
    if ctype == "float":
        return store_part(variable, pointer, count, target)
    cast = "" if ctype == "float" else f"({ctype})"
    return [f"for (int l = 0; l < {count or target.vector}; l++) ({pointer})[l] = {cast}{variable}[l];"]


def elementwise(
    terms: Mapping[str, Expression],
    shape: Sequence[int],
    operands: Mapping[str, tuple[Sequence[int], str]],
    target: Target,
    out_types: Mapping[str, str] | None = None,
    masked: Sequence[str] = (),
) -> Kernel:
    """The kernel of `terms` (output -> expression) over operands (shape, element type), all of `shape`.

    Arguments: `i_<operand>`, `o_<output>`.
    """
    axes = merged_axes(shape, {**{n: s for n, (s, _) in operands.items()}, "": shape})
    ctypes = {name: CTYPES[dtype] for name, (_, dtype) in operands.items()}
    outs = {name: CTYPES[(out_types or {}).get(name, "float32")] for name in terms}
    count = product(shape)
    arguments = [Shared(f"i_{n}", "in", product(operands[n][0]), ctypes[n]) for n in operands]
    arguments += [Shared(f"o_{n}", "out", count, outs[n]) for n in outs]
    nbytes = 4 * sum(a.size for a in arguments)
    steps, found = to_steps(terms, inline=target.kind == "cpu")
    cost = count * max(1, len(steps))
    facts = {"flops": cost, "bytes": nbytes, "preamble": (preamble(target),), "attributes": target.attributes}
    if target.kind == "gpu":
        return _each(axes, steps, found, ctypes, outs, arguments, count, facts)

    def compute(offsets: Mapping[str, str], strides: Mapping[str, int], at: str, left: str | None) -> list[str]:
        lines = ["{"]
        for name in operands:
            lines += load(name, f"i_{name} + {offsets[name]}", strides[name], ctypes[name], left, target)
        vectors = set(operands)
        for name, expression in steps:
            lines += evaluate(name, expression, vectors, set(), target)
            vectors.add(name)
        for name, ctype in outs.items():
            lines += store(f"v_{found[name]}", f"o_{name} + {at}", ctype, left, target)
        return [*lines, "}"]

    v = target.vector
    units = target.units
    flat = len(axes.sizes) <= 1
    if flat:
        strides = {name: (axes.strides[name] or (0,))[0] for name in operands}
        offsets = {name: "i" if strides[name] else "0" for name in operands}
        piece = max(_PIECE, ceil_div(ceil_div(count, 8 * units), v) * v)
        if cost < 16 * _PIECE:
            piece = max(count, 1)
        body = [
            "int i = g0 * g1; const int end = min(i + g1, g2);",
            f"for (; i + {v} <= end; i += {v})",
            *compute(offsets, strides, "i", None),
            "if (i < end) { const int left = end - i;",
            *compute(offsets, strides, "i", "left"),
            "}",
        ]
        groups = ceil_div(count, piece)
        return FlatKernel(
            "elementwise", tuple(body), tuple(arguments), (groups, 1, 1), variant=f"flat float{v}, pieces of {piece}",
            piece=piece, count=count, **facts,
        )  # fmt: skip
    inner, middle = axes.sizes[-1], axes.sizes[-2]
    outer = axes.sizes[:-2]
    rows = product(axes.sizes[:-1])
    groups = 1 if cost < 16 * _PIECE else max(1, min(rows, 8 * units))
    share = ceil_div(rows, groups)
    groups = ceil_div(rows, share)
    body = [
        f"int row = g0 * {share}; const int end = min(row + {share}, {rows});",
        f"while (row < end) {{ const int q = row / {middle}; int j = row % {middle}; const int stop = min({middle}, j + end - row);",
        "row += stop - j;",
    ]
    for name in operands:
        body.append(f"const size_t b_{name} = {_index('q', outer, axes.strides[name][:-2])};")
    body.append(f"const size_t b_ = (size_t)q * {middle * inner};")
    body.append("for (; j < stop; j++) {")
    strides = {name: axes.strides[name][-1] for name in operands}
    offsets = {}
    for name in operands:
        along = f" + j * {axes.strides[name][-2]}" if axes.strides[name][-2] else ""
        inside = "" if strides[name] == 0 else " + i" if strides[name] == 1 else f" + i * {strides[name]}"
        offsets[name] = f"b_{name}{along}{inside}"
    at = f"b_ + j * {inner} + i"
    whole, left = inner // v * v, inner % v
    if whole == v:
        body += ["{ const int i = 0;", *compute(offsets, strides, at, None), "}"]
    elif whole:
        body += [f"for (int i = 0; i < {whole}; i += {v})", *compute(offsets, strides, at, None)]
    if left:
        body += [f"{{ const int i = {whole};", *compute(offsets, strides, at, str(left)), "}"]
    body += ["}", "}"]
    return Kernel(
        "elementwise", tuple(body), tuple(arguments), (groups, 1, 1), variant=f"rows of {inner}, float{v}", **facts
    )


def _index(number: str, sizes: Sequence[int], strides: Sequence[int]) -> str:
    """The offset of row `number` of axes `sizes`."""
    parts, below = [], 1
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        if stride:
            digit = f"{number} / {below}" if below > 1 else number
            digit = f"({digit}) % {size}" if below * size < product(sizes) else digit
            parts.append(f"(size_t)({digit}) * {stride}")
        below *= size
    return " + ".join(parts) or "0"


def _each(axes, steps, found, ctypes, outs, arguments, count, facts) -> Kernel:
    """One work-item an element, for GPUs: neighbours read and write neighbouring elements."""
    names = set(ctypes)
    body = ["const int e = g0 * 256 + (int)get_local_id(0);", f"if (e < {count}) {{"]
    for name in ctypes:
        index = _index("e", axes.sizes, axes.strides[name])
        body.append(f"const float v_{name} = (float)i_{name}[{index}];")
    for name, expression in steps:
        body.append(f"const float v_{name} = {as_scalars(expression, names)};")
        names.add(name)
    body += [f"o_{name}[e] = ({ctype})v_{found[name]};" for name, ctype in outs.items()]
    body.append("}")
    facts = {**facts, "attributes": ""}
    return Kernel(
        "elementwise",
        tuple(body),
        tuple(arguments),
        (ceil_div(count, 256), 1, 1),
        local=(256, 1, 1),
        variant="one element a work-item",
        **facts,
    )
