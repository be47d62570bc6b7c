"""From lowered nodes to launches: which generated kernel computes a node, over which buffers.

A buffer is named like the value that it holds; a view has its source's buffer. What a kernel needs besides (partial sums,
reordered filters) is scratch, named after the node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from flownet.devices.opencl.expressions import to_steps
from flownet.devices.opencl.kernels import gpu, gpu_pooling, pooling
from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.kernels.each import each, gather, join, moved, resample, scatter_add
from flownet.devices.opencl.kernels.elementwise import CTYPES, Shared, elementwise
from flownet.devices.opencl.kernels.epilogue import Epilogue, Operand
from flownet.devices.opencl.kernels.kernel import Argument, Kernel, ceil_div, preamble, product
from flownet.devices.opencl.kernels.layout import block_image, unblock_image
from flownet.devices.opencl.kernels.matmul import Matmul, MatmulTile, matmul, pack, reduce_splits
from flownet.devices.opencl.kernels.matmul import candidates as matmul_candidates
from flownet.devices.opencl.kernels.random import uniform
from flownet.devices.opencl.kernels.reduction import reduction
from flownet.devices.opencl.target import Target
from flownet.graph import Graph, Node
from flownet.kernels import (
    Block,
    Cast,
    Convolution2D,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    Copy,
    Fused,
    Gather,
    Join,
    MatMul,
    Pool,
    PoolGradient,
    Reduce,
    Resample,
    ScatterAdd,
    Template,
    Unblock,
    Uniform,
    Unpool,
)
from flownet.op import Op
from flownet.passes.unchanging import unchanging

__all__ = ["Emitter", "Launch"]


@dataclass
class Launch:
    """A kernel over buffers, or (kernel None) a node that NumPy computes on the host.

    buffers: argument -> buffer
    """

    node: Node
    kernel: Kernel | None
    buffers: dict[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: Node, kernel: Kernel, buffers: Mapping[str, str]) -> Launch:
        used = {a.name: buffers[a.name] for a in kernel.arguments}
        reads = tuple(dict.fromkeys(used[a.name] for a in kernel.arguments if a.access != "out"))
        writes = tuple(dict.fromkeys(used[a.name] for a in kernel.arguments if a.access != "in"))
        return cls(node, kernel, used, reads, writes)


class Emitter:
    """Launches of a graph's nodes, in their order; `scratch` has the bytes of every buffer that no value names."""

    def __init__(
        self, graph: Graph, target: Target, choose: Callable[[Convolution, str], Choice | None] | None = None
    ) -> None:
        self.graph, self.target = graph, target
        self.still = unchanging(graph)
        self.scratch: dict[str, int] = {}
        self.alias: dict[str, str] = {}
        self.prepared: dict[tuple, str] = {}
        self.choose = choose or (lambda problem, direction: next(iter(candidates(problem, direction, target)), None))

    def buffer(self, value: str) -> str:
        """The buffer that holds a value."""
        while value in self.alias:
            value = self.alias[value]
        return value

    def launches(self, order: Iterable[Node]) -> list[Launch]:
        out: list[Launch] = []
        for node in order:
            out += self.emit(node)
        return out

    def emit(self, node: Node) -> list[Launch]:
        op = node.op
        if op.is_view:
            self.alias[node.outputs[0]] = next(iter(node.inputs.values()))
            return []
        if node.device == "cpu":
            return [self._host(node)]
        if isinstance(op, Fused):
            return self._heavy(node, op.base, op)
        if hasattr(op, "expressions"):
            return self._elementwise(node)
        for kind, method in _METHODS.items():
            if isinstance(op, kind):
                return method(self, node)
        return [self._host(node)]

    # -- small things ------------------------------------------------------------------------------------------------------

    def _shape(self, value: str) -> tuple[int, ...]:
        return tuple(int(dim) for dim in self.graph.values[value].type.shape)  # type: ignore[arg-type]

    def _dtype(self, value: str) -> str:
        return self.graph.values[value].type.dtype.value

    def _ctype(self, value: str) -> str:
        return CTYPES[self._dtype(value)]

    def _scratch(self, node: Node, name: str, floats: int) -> str:
        buffer = f"{node.name}#{name}"
        self.scratch[buffer] = 4 * floats
        return buffer

    def _launch(self, node: Node, kernel: Kernel, buffers: Mapping[str, str]) -> Launch:
        return Launch.of(node, kernel, {a: self.buffer(value) for a, value in buffers.items()})

    def _host(self, node: Node) -> Launch:
        reads = tuple(dict.fromkeys(self.buffer(name) for name in node.inputs.values()))
        return Launch(node, None, {}, reads, tuple(map(self.buffer, node.outputs)))

    def _without_kernel(self, node: Node) -> Launch:
        return self._host(
            replace(node, device="cpu", reason="every kernel for it was set aside or is too large on this device")
        )

    def _outs(self, node: Node) -> dict[str, str]:
        return dict(zip(node.op.outputs, node.outputs, strict=True))

    # -- kernels of one pass -----------------------------------------------------------------------------------------------

    def _elementwise(self, node: Node) -> list[Launch]:
        terms, renaming = _short_names(node.op.expressions(), node.inputs)
        operands = {renaming[a]: (self._shape(v), self._dtype(v)) for a, v in node.inputs.items()}
        outs = {f"y{i}": value for i, value in enumerate(node.outputs)}
        kernel = elementwise(dict(zip(outs, terms, strict=True)), self._shape(node.outputs[0]), operands, self.target)
        buffers = {f"i_{renaming[a]}": v for a, v in node.inputs.items()} | {f"o_{o}": v for o, v in outs.items()}
        return [self._launch(node, kernel, buffers)]

    def _cast(self, node: Node) -> list[Launch]:
        from flownet.expression import Name

        (x,), (y,) = node.inputs.values(), node.outputs
        shape = self._shape(x)
        kernel = elementwise(
            {"y": Name("x")}, shape, {"x": (shape, self._dtype(x))}, self.target, {"y": self._dtype(y)}
        )
        return [self._launch(node, kernel, {"i_x": x, "o_y": y})]

    def _reduce(self, node: Node) -> list[Launch]:
        op: Reduce = node.op
        expressions, renaming = _short_names({o: e for o, _, e in op.terms}, node.inputs)
        terms = [(f"y{i}", kind, e) for i, ((_, kind, _), e) in enumerate(zip(op.terms, expressions, strict=True))]
        operands = {renaming[a]: (self._shape(v), self._dtype(v)) for a, v in node.inputs.items()}
        shape = np.broadcast_shapes(*(s for s, _ in operands.values()))
        steps = reduction(terms, shape, op.axes, operands, self.target)
        buffers = {f"i_{renaming[a]}": v for a, v in node.inputs.items()}
        buffers |= {f"o_y{i}": value for i, value in enumerate(node.outputs)}
        buffers |= {name: self._scratch(node, name, floats) for name, floats in steps.scratch.items()}
        return [self._launch(node, kernel, buffers) for kernel in steps.kernels]

    def _copy(self, node: Node) -> list[Launch]:
        (x,), (y,) = node.inputs.values(), node.outputs
        op: Copy = node.op
        kernel = moved(op.shape, op.coordinates, op.fill, self._shape(x), self._ctype(x), self.target, gaps=op.gaps)
        return [self._launch(node, kernel, {"x": x, "y": y})]

    def _join(self, node: Node) -> list[Launch]:
        shapes = [self._shape(v) for v in node.inputs.values()]
        kernel = join(shapes, node.op.axis, self._ctype(node.outputs[0]), self.target)
        return [
            self._launch(
                node, kernel, {**{f"x{i}": v for i, v in enumerate(node.inputs.values())}, "y": node.outputs[0]}
            )
        ]

    def _gather(self, node: Node) -> list[Launch]:
        table, index = node.inputs["table"], node.inputs["index"]
        rows, *rest = self._shape(table)
        kernel = gather(rows, product(rest), product(self._shape(index)), self._ctype(index), self.target)
        return [self._launch(node, kernel, {"table": table, "index": index, "y": node.outputs[0]})]

    def _scatter_add(self, node: Node) -> list[Launch]:
        x, index, table = node.inputs["x"], node.inputs["index"], node.outputs[0]
        rows, *rest = self._shape(table)
        kernel = scatter_add(rows, product(rest), product(self._shape(index)), self._ctype(index), self.target)
        return [self._launch(node, kernel, {"x": x, "index": index, "table": table})]

    def _uniform(self, node: Node) -> list[Launch]:
        kernel = uniform(product(self._shape(node.outputs[0])), self.target)
        return [self._launch(node, kernel, {**node.inputs, "y": node.outputs[0]})]

    def _resample(self, node: Node) -> list[Launch]:
        shape, axis, (y,) = self._shape(node.inputs["x"]), node.op.axis, node.outputs
        outer, inner, taps = (
            product(shape[:axis]),
            product(shape[axis + 1 :]),
            product(self._shape(node.inputs["index"])),
        )
        kernel = resample(outer, shape[axis], inner, self._shape(y)[axis], taps, node.op.each, self.target)
        return [self._launch(node, kernel, {**node.inputs, "y": y})]

    def _template(self, node: Node) -> list[Launch]:
        op: Template = node.op
        source = op.source
        for name, number in sorted(op.constants, key=lambda pair: -len(pair[0])):
            text = str(int(number)) if isinstance(number, int) else f"{float(number)!r}f"
            source = source.replace(f"${name}", text)
        arguments = [Shared(a, "in", product(self._shape(v)), self._ctype(v)) for a, v in node.inputs.items()]
        arguments += [Shared(o, "out", product(self._shape(v)), self._ctype(v)) for o, v in self._outs(node).items()]
        functions = (op.functions,) if op.functions else ()
        title = re.sub(r"\W", "_", op.title)
        kernel = each(
            title,
            [source],
            arguments,
            op.work_items,
            self.target,
            work=64,
            functions=functions,
            flops=op.work,
            variant="template",
        )
        return [self._launch(node, kernel, {**node.inputs, **self._outs(node)})]

    def _block(self, node: Node) -> list[Launch]:
        (x,), (y,) = node.inputs.values(), node.outputs
        n, c, *rest = self._shape(x)
        if isinstance(node.op, Unblock):
            n, c, *rest = self._shape(y)
        if product(rest) == 1 and c % self.target.vector == 0:
            self.alias[y] = x  # one pixel: the same bytes
            return []
        generate = unblock_image if isinstance(node.op, Unblock) else block_image
        kernel = generate(n, c, product(rest), self.target)
        return [self._launch(node, kernel, {"X": x, "Y": y})]

    def _pool(self, node: Node) -> list[Launch]:
        n, c = self._shape(node.outputs[0])[:2]
        plain = self.target.kind == "gpu"
        kernel = gpu_pooling.pool(node.op, n * c) if plain else pooling.pool(node.op, n * c, self.target)
        return [self._launch(node, kernel, {**node.inputs, **self._outs(node)})]

    def _pool_gradient(self, node: Node) -> list[Launch]:
        n, c = self._shape(node.outputs[0])[:2]
        plain = self.target.kind == "gpu"
        kernel = (
            gpu_pooling.pool_gradient(node.op, n * c) if plain else pooling.pool_gradient(node.op, n * c, self.target)
        )
        return [self._launch(node, kernel, {**node.inputs, "dx": node.outputs[0]})]

    def _unpool(self, node: Node) -> list[Launch]:
        n, c, *small = self._shape(node.inputs["indices"])
        planes, few, back = n * c, (small[0], small[1]), node.op.back
        if self.target.kind == "gpu":
            kernel = gpu_pooling.unpool(planes, few, node.op.size, back=back)
        else:
            kernel = pooling.unpool(planes, few, node.op.size, self.target, back=back)
        return [self._launch(node, kernel, {**node.inputs, "y": node.outputs[0]})]

    # -- matrix products and convolutions, with epilogues ----------------------------------------------------------------------

    def _heavy(self, node: Node, base: Op, fused: Fused | None = None) -> list[Launch]:
        inputs = {a: node.inputs[a] for a in base.signature_inputs}
        result_shape = (
            self._shape(node.outputs[0]) if fused is None or fused.terms else self._result_shape(base, inputs)
        )
        epilogue, buffers = self._epilogue(node, fused, result_shape)
        if isinstance(base, MatMul):
            return self._matmul(node, base, inputs, epilogue, buffers)
        return self._convolution(node, base, inputs, epilogue, buffers)

    def _result_shape(self, base: Op, inputs: Mapping[str, str]) -> tuple[int, ...]:
        types = {a: self.graph.values[v].type for a, v in inputs.items()}
        return tuple(int(d) for d in base.result_types(types)[0].shape)  # type: ignore[arg-type]

    def _epilogue(self, node: Node, fused: Fused | None, shape: tuple[int, ...]) -> tuple[Epilogue, dict[str, str]]:
        """The epilogue, and its arguments' buffers."""
        if fused is None:
            return Epilogue(outputs=(("o0", "acc"),)), {"o0": node.outputs[0]}
        operands, buffers, renaming, scalars = [], {}, {"acc": "acc"}, set()
        for i, name in enumerate(fused.operands):
            renaming[name] = f"e{i}"
            value = node.inputs[name]
            own = self._shape(value)
            access = "scalar" if product(own) == 1 else "element" if own == shape else "channel"
            operands.append(Operand(f"e{i}", access))
            buffers[f"e{i}"] = value
            if access == "scalar":
                scalars.add(f"e{i}")
        from flownet.expression import Name, substitute

        names = {a: Name(b) for a, b in renaming.items()}
        terms = {output: substitute(e, names) for output, e in (*fused.terms, *fused.sums)}
        steps, found = to_steps(terms, scalars=scalars, inline=self.target.kind == "cpu")
        outputs = []
        for i, (output, _) in enumerate(fused.terms):
            outputs.append((f"o{i}", _vector(found[output], steps, scalars)))
            buffers[f"o{i}"] = node.outputs[i]
        sums = tuple(_vector(found[output], steps, scalars) for output, _ in fused.sums)
        return Epilogue(tuple(operands), tuple(steps), tuple(outputs), sums), buffers

    def _sums(
        self, node: Node, fused: Fused | None, epilogue: Epilogue, kernel: Kernel, channels: int, columns: int = 1
    ) -> list[Launch]:
        """The kernel that adds the partial sums, of a kernel whose work-groups compute blocks of `columns` vectors."""
        if fused is None or not fused.sums:
            return []
        v = self.target.vector
        rows, count, lanes = epilogue.partials_shape(kernel.arguments, channels, columns * v)
        outs = node.outputs[len(fused.terms) :]
        padded = [product(self._shape(value)) for value in outs]
        blocks = ceil_div(channels, v)
        body = [
            f"const int c = g0 * {v};",
            "vec sum = 0;",
            f"for (int r = 0; r < {rows}; r++) sum += *(__global const vecu*)(partials + ((size_t)r * {count} + g1) * {lanes} + c);",
        ]
        for i in range(len(outs)):
            whole = padded[i] >= blocks * v
            write = f"*(__global vecu*)(s{i} + c) = sum;"
            part = f"for (int l = 0; l < min({v}, {padded[i]} - c); l++) s{i}[c + l] = sum[l];"
            body.append(f"if (g1 == {i}) {{ {write if whole else part} }}")
        arguments = [Argument("partials", "in", rows * count * lanes)]
        arguments += [Argument(f"s{i}", "out", size) for i, size in enumerate(padded)]
        adder = Kernel(
            "add_sums", tuple(body), tuple(arguments), (blocks, count, 1), (preamble(self.target),), bytes=4 * rows * count * lanes,
            variant=f"{rows} rows", attributes=self.target.attributes,
        )  # fmt: skip
        buffers = {"partials": f"{node.name}#partials", **{f"s{i}": value for i, value in enumerate(outs)}}
        return [self._launch(node, adder, buffers)]

    def _partials(self, node: Node, kernel: Kernel, buffers: dict[str, str]) -> dict[str, str]:
        for argument in kernel.arguments:
            if argument.name == "partials":
                buffers = {**buffers, "partials": self._scratch(node, "partials", argument.size)}
        return buffers

    def _matmul(
        self, node: Node, op: MatMul, inputs: Mapping[str, str], epilogue: Epilogue, buffers: dict[str, str]
    ) -> list[Launch]:
        a, b = self._shape(inputs["a"]), self._shape(inputs["b"])
        m, k = (a[-1], a[-2]) if op.transposed_a else (a[-2], a[-1])
        n = b[-2] if op.transposed_b else b[-1]
        batch = product(a[:-2] or b[:-2])
        problem = Matmul(
            m,
            n,
            k,
            op.transposed_a,
            op.transposed_b,
            batch,
            shared_a=batch > 1 and len(a) == 2,
            shared_b=batch > 1 and len(b) == 2,
        )
        buffers = {**buffers, "A": inputs["a"], "B": inputs["b"]}
        fused = node.op if isinstance(node.op, Fused) else None
        if self.target.kind == "gpu":
            return [self._launch(node, gpu.matmul(problem, self.target, epilogue), buffers)]
        constant = self._is_constant(inputs["b"])
        tile = matmul_candidates(problem, self.target, packed=constant)[0]
        launches = []
        if tile.source == "packed":
            buffers["F"] = self._packed(node, problem, tile, buffers.pop("B"), launches)
        if tile.splits == 1:
            kernel = matmul(problem, self.target, epilogue, tile)
            launches.append(self._launch(node, kernel, self._partials(node, kernel, buffers)))
            return [*launches, *self._sums(node, fused, epilogue, kernel, n, tile.columns)]
        first = matmul(problem, self.target, tile=tile)
        parts = self._scratch(node, "parts", tile.splits * batch * m * n)
        second = reduce_splits(problem, tile.splits, self.target, epilogue)
        second_factor = {name: buffers.pop(name) for name in ("B", "F") if name in buffers}
        return [
            *launches,
            self._launch(node, first, {"A": inputs["a"], **second_factor, "C": parts}),
            self._launch(node, second, self._partials(node, second, {**buffers, "P": parts})),
            *self._sums(node, fused, epilogue, second, n),
        ]

    def _is_constant(self, value: str) -> bool:
        """Whether a value changes only when the user sets parameters: what is made of it alone is made then (see `schedule`)."""
        return self.buffer(value) in self.still

    def _packed(self, node: Node, problem: Matmul, tile: MatmulTile, b: str, launches: list[Launch]) -> str:
        """The buffer with `b` in panels; what fills it is appended to `launches` unless another product has seen to it."""
        kernel = pack(problem, tile, self.target)
        key = (self.buffer(b), kernel.body, kernel.arguments)
        if key not in self.prepared:
            size = next(a.size for a in kernel.arguments if a.access == "out")
            self.prepared[key] = self._scratch(node, "F", size)
            launches.append(self._launch(node, kernel, {"B": b, "F": self.prepared[key]}))
        return self.prepared[key]

    def _convolution(
        self, node: Node, op: Op, inputs: Mapping[str, str], epilogue: Epilogue, buffers: dict[str, str]
    ) -> list[Launch]:
        batch = self._shape(next(iter(inputs.values())))[0]
        problem = Convolution(
            batch,
            op.channels,
            *op.size,
            op.filters,
            op.kernel,
            op.stride,
            op.padding,
            op.dilation,
            op.groups,
            op.planar,
        )  # type: ignore[attr-defined]
        fused = node.op if isinstance(node.op, Fused) else None
        if isinstance(op, ConvolutionWeightGradient):
            if (gradient := self.choose(problem, "weight_gradient")) is None:
                return [self._without_kernel(node)]
            steps = gradient.gradient()
            buffers = {"X": inputs["x"], "dY": inputs["dy"], "dW": node.outputs[0]}
            buffers |= {name: self._scratch(node, name, floats) for name, floats in steps.scratch.items()}
            return [self._launch(node, kernel, buffers) for kernel in steps.kernels]
        forward = isinstance(op, Convolution2D)
        if (choice := self.choose(problem, "forward" if forward else "input_gradient")) is None:
            return [self._without_kernel(node)]
        launches = []
        weights, floats = choice.weights
        prepare = choice.prepare()
        if prepare is None:
            buffers = {**buffers, weights: inputs["w"]}
        else:
            key = (self.buffer(inputs["w"]), prepare.body, prepare.arguments)
            if key not in self.prepared:
                self.prepared[key] = self._scratch(node, weights, floats)
                out = next(a.name for a in prepare.arguments if a.access == "out")
                launches.append(self._launch(node, prepare, {"W": inputs["w"], out: self.prepared[key]}))
            buffers = {**buffers, weights: self.prepared[key]}
        kernel = choice.compute(epilogue)
        launches.append(
            self._launch(node, kernel, self._partials(node, kernel, {**buffers, "X": inputs["x" if forward else "dy"]}))
        )
        return [*launches, *self._sums(node, fused, epilogue, kernel, op.filters if forward else op.channels)]


def _vector(variable: str, steps: list[tuple[str, str]], scalars: set[str]) -> str:
    """A step that holds the variable, for what must be a vector."""
    if variable in scalars or variable.startswith("("):
        steps.append((f"w{len(steps)}", f"((vec){variable})" if variable in scalars else variable))
        return steps[-1][0]
    return variable


def _short_names(terms: Mapping, inputs: Mapping[str, str]):
    """Expressions whose operands are called x0, x1, …, so that equal kernels have equal text: (expressions, old name -> new)."""
    from flownet.expression import Name, substitute

    renaming = {name: f"x{i}" for i, name in enumerate(inputs)}
    names = {old: Name(new) for old, new in renaming.items()}
    return [substitute(expression, names) for expression in terms.values()], renaming


_METHODS: dict[type, Callable[[Emitter, Node], list[Launch]]] = {
    Cast: Emitter._cast,
    Reduce: Emitter._reduce,
    Copy: Emitter._copy,
    Join: Emitter._join,
    Gather: Emitter._gather,
    Resample: Emitter._resample,
    ScatterAdd: Emitter._scatter_add,
    Template: Emitter._template,
    Uniform: Emitter._uniform,
    Block: Emitter._block,
    Unblock: Emitter._block,
    Pool: Emitter._pool,
    PoolGradient: Emitter._pool_gradient,
    Unpool: Emitter._unpool,
    MatMul: lambda self, node: self._heavy(node, node.op),
    Convolution2D: lambda self, node: self._heavy(node, node.op),
    ConvolutionInputGradient: lambda self, node: self._heavy(node, node.op),
    ConvolutionWeightGradient: lambda self, node: self._heavy(node, node.op),
}
