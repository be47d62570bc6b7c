"""Let products and convolutions finish what follows them while the result is in registers.

Into the kernel go, as long as they need nothing that waits for it: elementwise nodes over its result (bias, activation, an activation's
gradient, the sum with a residual), and sums per channel of any of these (a batch norm's statistics and its gradients, a
bias's gradient). Operands are of the result's shape, one number a channel, or one number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flownet.expression import Expression, Name, substitute
from flownet.graph import Graph, Node
from flownet.kernels import Convolution2D, ConvolutionInputGradient, Fused, MatMul, Reduce
from flownet.kernels.fused import ACC
from flownet.passes.fuse_elementwise import is_elementwise
from flownet.passes.positions import move_behind_inputs
from flownet.passes.simplify import simplified, size

__all__ = ["fuse_epilogues"]

_HEAVY = (Convolution2D, ConvolutionInputGradient, MatMul)
_MOST_OPERANDS = 8  # pointers that a kernel walks along besides its own
_MOST_OPERATIONS = 60


def fuse_epilogues(graph: Graph, target: Any) -> Graph:
    """The graph with `Fused` nodes."""
    graph = graph.copy()
    sums = getattr(target, "kind", "cpu") == "cpu"  # a GPU's kernels have no place for partial sums
    fusion = _Fusion(graph, sums)
    for node in list(graph.topological()):
        if isinstance(node.op, _HEAVY) and node.device != "cpu":
            fusion.grow(node.name)
    return graph


class _Fusion:
    def __init__(self, graph: Graph, sums: bool) -> None:
        self.graph, self.sums = graph, sums
        self.users: dict[str, set[str]] = {name: set() for name in graph.values}
        for node in graph.nodes.values():
            for value in node.inputs.values():
                self.users[value].add(node.name)
        self.position = {node.name: i for i, node in enumerate(graph.topological())}
        self.fetched = set(graph.outputs.values()) | set(graph.updates.values())

    def grow(self, name: str) -> None:
        """Take in followers of the node until there is none that can be."""
        node = self.graph.nodes[name]
        self.base = node.op
        known: dict[str, Expression] = {node.outputs[0]: Name(ACC)}  # values inside the kernel
        inputs = dict(node.inputs)
        operands: dict[str, str] = {}  # value -> operand
        sums: list[tuple[str, Expression]] = []
        taken: list[Node] = []
        shape = tuple(self.graph.values[node.outputs[0]].type.shape)
        changed = True
        while changed:
            changed = False
            followers = sorted({u for value in known for u in self.users[value]}, key=self.position.__getitem__)
            for follower_name in followers:
                follower = self.graph.nodes.get(follower_name)
                if follower is None or follower in taken or not self._fits(follower, name, known, shape, taken):
                    continue
                new = [v for v in dict.fromkeys(follower.inputs.values()) if v not in known and v not in operands]
                if len(operands) + len(new) > _MOST_OPERANDS:
                    continue
                names = {v: Name(f"e{len(operands) + i}") for i, v in enumerate(new)}
                values = {a: known.get(v) or names.get(v) or Name(operands[v]) for a, v in follower.inputs.items()}
                if isinstance(follower.op, Reduce):
                    made = [
                        (o, simplified(substitute(e, values)))
                        for o, (_, _, e) in zip(follower.outputs, follower.op.terms, strict=True)
                    ]
                else:
                    made = [
                        (o, simplified(substitute(e, values)))
                        for o, e in zip(follower.outputs, follower.op.expressions().values(), strict=True)
                    ]
                if sum(size(e) for _, e in made) > _MOST_OPERATIONS:
                    continue
                operands |= {v: n.id for v, n in names.items()}
                if isinstance(follower.op, Reduce):
                    sums += made
                else:
                    known |= dict(made)
                taken.append(follower)
                changed = True
        if taken:
            self._replace(node, known, inputs, operands, sums, taken)

    def _fits(self, follower: Node, name: str, known: dict[str, Expression], shape: tuple, taken: list[Node]) -> bool:
        graph = self.graph
        if follower.device == "cpu":
            return False
        if isinstance(follower.op, Reduce):
            kept = Fused.kept_axes(self.base, len(shape))
            axes = tuple(i for i in range(len(shape)) if i not in kept)
            if (
                not self.sums
                or set(follower.op.axes) != set(axes)
                or any(kind != "sum" for _, kind, _ in follower.op.terms)
            ):
                return False
            if not self._sum_shape(follower, shape):
                return False
        elif not is_elementwise(follower) or tuple(graph.values[follower.outputs[0]].type.shape) != shape:
            return False
        inside = {n.name for n in taken} | {name}
        for value in follower.inputs.values():
            if value in known:
                continue
            if not self._operand(value, shape) or self._waits(value, name, inside):
                return False
        return True

    def _sum_shape(self, reduce: Node, shape: tuple) -> bool:
        """Whether the reduction's result is as `Fused` gives it, up to a view."""
        return all(v in self.graph.values for v in reduce.outputs)

    def _operand(self, value: str, shape: tuple) -> bool:
        type_ = self.graph.values[value].type
        if type_.dtype.value != "float32":
            return False
        own = (1,) * (len(shape) - type_.rank) + tuple(type_.shape)
        if type_.size == 1 or own == shape:
            return type_.size == 1 or type_.rank == len(shape)
        kept = Fused.kept_axes(self.base, len(shape))
        return all(d == (shape[i] if i in kept else 1) for i, d in enumerate(own))

    def _waits(self, value: str, name: str, inside: set[str]) -> bool:
        """Whether the value depends on what the kernel makes."""
        producer = self.graph.values[value].producer
        stack, seen = [producer], set()
        low = self.position[name]
        while stack:
            maker = stack.pop()
            if maker is None or maker in seen or self.position[maker] < low:
                continue
            if maker in inside:
                return True
            seen.add(maker)
            stack += [self.graph.values[v].producer for v in self.graph.nodes[maker].inputs.values()]
        return False

    def _replace(self, node: Node, known: dict, inputs: dict, operands: dict, sums: list, taken: list[Node]) -> None:
        graph = self.graph
        gone = {n.name for n in taken}
        outputs: list[str] = []
        terms: list[tuple[str, Expression]] = []
        for value, expression in known.items():
            if value in self.fetched or self.users[value] - gone:
                outputs.append(value)
                terms.append((f"y{len(terms)}", expression))
        reduced = [value for value, _ in sums]
        op = Fused(
            node.op, tuple(terms), tuple(operands.values()), tuple((f"s{i}", e) for i, (_, e) in enumerate(sums))
        )
        inputs |= {operand: value for value, operand in operands.items()}
        made = op.result_types({a: graph.values[v].type for a, v in inputs.items()})
        for dead in (*taken, node):
            del graph.nodes[dead.name]
            for value in dead.outputs:
                self.users.setdefault(value, set())
                if value not in outputs and value not in reduced:
                    del graph.values[value]
            for value in dead.inputs.values():
                if value in self.users:
                    self.users[value].discard(dead.name)
        names = list(outputs)
        views = []
        for value, type_ in zip(reduced, made[len(terms) :], strict=True):
            if graph.values[value].type == type_:
                names.append(value)
            else:  # another shape of as many elements
                inner = f"{value}/sum"
                graph.values[inner] = replace(graph.values[value], name=inner, type=type_)
                self.users[inner] = set()
                names.append(inner)
                views.append((inner, value))
        origin = node.origin
        for other in taken:
            origin = origin.joined(other.origin)
        graph.nodes[node.name] = replace(node, op=op, inputs=inputs, outputs=tuple(names), origin=origin)
        for value in names:
            graph.values[value] = replace(graph.values[value], producer=node.name)
        for value in inputs.values():
            self.users[value].add(node.name)
        for inner, value in views:
            from flownet.kernels import View

            view = f"{node.name}/view_of_{value}"
            graph.nodes[view] = Node(
                view, View(tuple(int(d) for d in graph.values[value].type.shape)), {"x": inner}, (value,), node.origin
            )
            graph.values[value] = replace(graph.values[value], producer=view)
            self.users[inner].add(view)
            self.position[view] = self.position[node.name]
        move_behind_inputs(graph, self.position, [node.name], self.users.__getitem__)
