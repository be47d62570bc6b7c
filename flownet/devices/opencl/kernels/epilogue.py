"""What happens to a result while it is still in registers: bias, residual, activation, statistics, stores.

A kernel family computes vectors of V consecutive channels (or columns) and hands each to `Epilogue.store`, which emits
C: load the operands, evaluate the steps, store the outputs, add to the sums. The same epilogue serves matrix products
and convolutions, since it only knows two addresses: `offset`, of the vector in tensors of the result's shape and
layout, and `channel`, of the vector in per-channel operands.

Expressions are C over `acc` (the result), earlier steps and operands, all of them vectors (scalars: `float`). Literals
are floats (`0.0f`); a scalar meets a vector in arithmetic and comparisons, but both arms of `?:` want vectors: write
`acc > 0.0f ? acc : (vec)(0.0f)`; `vec` and `ivec` are replaced by the width in which the expression is evaluated.

>>> Epilogue(operands=(Operand("bias", "channel"),), steps=(("y", "acc + bias"),), outputs=(("Y", "y"),)).buffers()
('bias', 'Y')
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flownet.devices.opencl.kernels.kernel import Argument, load_part, store_part
from flownet.devices.opencl.target import Target

__all__ = ["Epilogue", "Operand", "Prologue"]


@dataclass(frozen=True)
class Operand:
    """A value that expressions read. `access`: "element" (the result's shape and layout), "channel" (one a channel or
    column), "scalar" (a buffer of one float). `buffer` is the argument's name where it is not the operand's: two
    operands may share one."""

    name: str
    access: str
    buffer: str = ""

    @property
    def argument(self) -> str:
        return self.buffer or self.name


@dataclass(frozen=True)
class Epilogue:
    """Steps over a result in registers.

    operands: what the steps read
    steps:    (name, expression), each a vector; later ones see earlier ones
    outputs:  (buffer, name of a step or `acc`); the same layout as the result
    sums:     names of steps whose per-channel sums over all elements go to the buffer `partials`,
              float32[rows][len(sums)][channels, padded to whole vectors]; `partials_shape` reads rows from a kernel
    An output may be the buffer of an element operand (in place): each element is read before it is written.
    """

    operands: tuple[Operand, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = (("Y", "acc"),)
    sums: tuple[str, ...] = ()

    def buffers(self) -> tuple[str, ...]:
        """Names of all buffers, operands first."""
        return tuple(dict.fromkeys([o.argument for o in self.operands] + [b for b, _ in self.outputs]))

    def arguments(self, size: int, channels: int, rows: int, lanes: int) -> tuple[Argument, ...]:
        """The kernel arguments that this epilogue adds, for results of `size` floats with `channels` real channels and
        partial sums of `rows` rows of `lanes` channels."""
        written = dict.fromkeys(buffer for buffer, _ in self.outputs)
        out = []
        for operand in self.operands:
            count = {"element": size, "channel": channels, "scalar": 1}[operand.access]
            access = "inout" if operand.argument in written else "in"
            out.append(Argument(operand.argument, access, count))
        out += [Argument(name, "out", size) for name in written]
        if self.sums:
            out.append(Argument("partials", "out", rows * len(self.sums) * lanes))
        return tuple({a.name: a for a in reversed(out)}.values())[::-1]

    def partials_shape(self, arguments: tuple[Argument, ...], channels: int, width: int) -> tuple[int, int, int]:
        """Shape of `partials` among a kernel's arguments, where every block of lanes is whole (`width` lanes)."""
        lanes = -(-channels // width) * width
        size = next(a.size for a in arguments if a.name == "partials")
        return size // (len(self.sums) * lanes), len(self.sums), lanes

    def begin(self, vectors: int, channel: str, channels: int, target: Target) -> list[str]:
        """C before the first `store` of a block of `vectors` vectors of channels that starts at `channel`, out of
        `channels` real ones: sums set to zero, per-channel operands loaded (zero past the last channel)."""
        width = target.vector
        lines = [f"vec sum{i}_{v} = 0;" for i in range(len(self.sums)) for v in range(vectors)]
        for operand in self.operands:
            if operand.access != "channel":
                continue
            for v in range(vectors):
                count = None if channels % width == 0 else f"min({width}, {channels} - ({channel}) - {v * width})"
                first = f"({channel}) + {v * width}"
                if count is None and channels % (vectors * width):  # of vectors past the last nothing is stored
                    first = f"min({first}, {channels - width})"
                pointer = f"{operand.argument} + {first}"
                lines += _load(f"v_{operand.name}_{v}", pointer, count)
        return lines

    def end(self, vectors: int, row: str, channel: str, lanes: int, width: int) -> list[str]:
        """Stores of the sums of one block of channels that starts at `channel`, as row `row` of the partials."""
        return [
            f"*(__global vecu*)(partials + (size_t)(({row}) * {len(self.sums)} + {i}) * {lanes}"
            f" + ({channel}) + {v * width}) = sum{i}_{v};"
            for i in range(len(self.sums))
            for v in range(vectors)
        ]

    def store(self, value: str, offset: str, target: Target, column: int = 0, count: str | None = None) -> list[str]:
        """C for one vector. `column` says which of the block's vectors it is (for the sums); `count`, a C expression,
        how many lanes are real where it is not all: the others are not written."""
        lines = ["{", f"const size_t o = {offset};"]
        lines.append(f"const vec v_acc = {value};")
        vectors = {"acc"}
        scalars: set[str] = set()
        for operand in self.operands:
            if operand.access == "scalar":
                lines.append(f"const float v_{operand.name} = {operand.argument}[0];")
                scalars.add(operand.name)
                continue
            if operand.access == "channel":
                lines.append(f"const vec v_{operand.name} = v_{operand.name}_{column};")
            else:
                lines += _load(f"v_{operand.name}", f"{operand.argument} + o", count)
            vectors.add(operand.name)
        for name, expression in self.steps:
            lines += evaluate(name, expression, vectors, scalars, target)
            vectors.add(name)
        for buffer, name in self.outputs:
            if count is None:
                lines.append(f"*(__global vecu*)({buffer} + o) = v_{name};")
            else:
                lines += store_part(f"v_{name}", f"{buffer} + o", count, target)
        for i, name in enumerate(self.sums):
            lines.append(f"sum{i}_{column} += v_{name};")
        return [*lines, "}"]


def _load(variable: str, pointer: str, count: str | None) -> list[str]:
    if count is None:
        return [f"const vec {variable} = *(__global const vecu*)({pointer});"]
    return load_part(variable, pointer, count)


@dataclass(frozen=True)
class Prologue:
    """What is done to an image while it is read: `expression` over `x`, vectors per channel (`operands`: a batch norm's
    scale and shift) and images of the same shape and layout (`images`: what a batch norm's gradient takes beside dy).
    Padding is added after it, so it is zero whatever the expression makes of zero. Channels past the last are padded in
    the operands' buffers too, to whole vectors."""

    expression: str = "x"
    operands: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def arguments(self, channels: int, size: int) -> tuple[Argument, ...]:
        """The kernel arguments that this adds: `channels` padded to whole vectors, `size` floats an image."""
        vectors = [Argument(name, "in", channels) for name in self.operands]
        return (*vectors, *(Argument(name, "in", size) for name in self.images))

    def load_operands(self, block: str, target: Target) -> list[str]:
        """C that loads the per-channel vectors of channel block `block`."""
        v = target.vector
        return [f"const vec v_{name} = *(__global const vecu*)({name} + ({block}) * {v});" for name in self.operands]

    def apply(self, result: str, x: str, offset: str, target: Target) -> list[str]:
        """C that declares `v_<result>` for the vector `x`, which stands at `offset` in its buffer."""
        lines = ["const vec v_x = " + x + ";"]
        lines += [f"const vec v_{name} = *(__global const vecu*)({name} + {offset});" for name in self.images]
        return lines + evaluate(result, self.expression, {"x", *self.operands, *self.images}, set(), target)


_CALL = re.compile(r"\b(?!vec\b|ivec\b|if\b|float\b|int\b|__builtin_)[a-zA-Z_]\w*\s*\(")


def evaluate(name: str, expression: str, vectors: set[str], scalars: set[str], target: Target) -> list[str]:
    """C that declares `v_<name>` with the expression's value: in two halves where it calls built-in functions and the
    target cannot pass whole vectors to them. Variables carry a `v_` so that they never hide a buffer."""

    def renamed(part: str) -> str:
        def rename(match: re.Match[str]) -> str:
            word = match[1]
            return f"v_{word}{part}" if word in vectors else f"v_{word}" if word in scalars else word

        return re.sub(r"\b([A-Za-z_]\w*)\b", rename, expression)

    if target.call_width >= target.vector or not _CALL.search(expression):
        return [f"const vec v_{name} = {renamed('')};"]
    halves = [re.sub(r"\b(i?)vec\b", r"\1hvec", renamed(part)) for part in (".lo", ".hi")]
    return [f"vec v_{name};", f"v_{name}.lo = {halves[0]};", f"v_{name}.hi = {halves[1]};"]
