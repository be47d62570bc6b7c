"""Let reductions compute what is computed only for them, and take several sums in one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flownet.expression import Expression, Name, substitute
from flownet.graph import Graph, Node
from flownet.kernels import Reduce
from flownet.passes.fuse_elementwise import is_elementwise
from flownet.passes.simplify import simplified, size

__all__ = ["fuse_reductions"]

_LARGEST = 60  # operations of a reduction's expressions


def fuse_reductions(graph: Graph) -> Graph:
    """The graph with elementwise nodes that feed one reduction alone inside of it, and sibling reductions joined."""
    graph = graph.copy()
    fetched = set(graph.outputs.values()) | set(graph.updates.values())
    for name in [node.name for node in graph.topological() if isinstance(node.op, Reduce) and node.device != "cpu"]:
        while _take_in(graph, graph.nodes[name], fetched):
            pass
    _join_siblings(graph)
    return graph


def _take_in(graph: Graph, node: Node, fetched: set[str]) -> bool:
    shapes = {v: graph.values[v].type.shape for v in node.inputs.values()}
    full = np.broadcast_shapes(*shapes.values())  # type: ignore[arg-type]
    for value in dict.fromkeys(node.inputs.values()):
        producer = graph.values[value].producer
        if producer is None or value in fetched or not is_elementwise(graph.nodes[producer]):
            continue
        maker = graph.nodes[producer]
        users = [n for n in graph.nodes.values() if value in n.inputs.values()] if len(maker.outputs) == 1 else []
        if shapes[value] != full or [n.name for n in users] != [node.name]:
            continue
        expression = next(iter(maker.op.expressions().values()))
        uses = sum(_count(e, {a for a, n in node.inputs.items() if n == value}) for _, _, e in node.op.terms)
        if size(expression) * uses + sum(size(e) for _, _, e in node.op.terms) > _LARGEST:
            continue
        inputs: dict[str, str] = {}
        by_value: dict[str, Name] = {}

        def operand(v: str) -> Name:
            if v not in by_value:
                by_value[v] = Name(f"x{len(by_value)}")
                inputs[by_value[v].id] = v
            return by_value[v]

        made = substitute(expression, {a: operand(n) for a, n in maker.inputs.items()})
        after: dict[str, Expression] = {a: made if n == value else operand(n) for a, n in node.inputs.items()}
        terms = tuple((o, kind, simplified(substitute(e, after))) for o, kind, e in node.op.terms)
        used = {n for _, _, e in terms for n in _names(e)}
        inputs = {a: v for a, v in inputs.items() if a in used}
        remaining = [graph.values[v].type for v in inputs.values()]
        if not remaining or not any(t.dtype.is_float for t in remaining):
            continue
        if np.broadcast_shapes(*(t.shape for t in remaining)) != full:  # type: ignore[arg-type]
            continue
        origin = node.origin.joined(maker.origin)
        graph.nodes[node.name] = replace(node, op=replace(node.op, terms=terms, operands=tuple(inputs)), inputs=inputs, origin=origin)
        graph.remove_node(maker.name)
        return True
    return False


def _names(expression: Expression) -> set[str]:
    if isinstance(expression, Name):
        return {expression.id}
    return set().union(*(_names(a) for a in getattr(expression, "arguments", ())))


def _count(expression: Expression, names: set[str]) -> int:
    return int(isinstance(expression, Name) and expression.id in names) + sum(_count(a, names) for a in getattr(expression, "arguments", ()))


def _join_siblings(graph: Graph) -> None:
    """Reductions over the same axes of operands of which they share one, neither needing the other."""
    by_operand: dict[tuple, list[str]] = {}
    for node in graph.topological():
        if not isinstance(node.op, Reduce) or node.device == "cpu":
            continue
        full = np.broadcast_shapes(*(graph.values[v].type.shape for v in node.inputs.values()))  # type: ignore[arg-type]
        for value in node.inputs.values():
            if graph.values[value].type.shape == full:
                by_operand.setdefault((value, node.op.axes, node.op.keepdims), []).append(node.name)
    for group in by_operand.values():
        first = group[0]
        for other in group[1:]:
            if first == other or first not in graph.nodes or other not in graph.nodes:
                continue
            a, b = graph.nodes[first], graph.nodes[other]
            if len(a.op.terms) + len(b.op.terms) > 4 or len(a.inputs) + len(b.inputs) > 12:
                continue
            if set(graph.ancestors(list(b.inputs.values()))) & {first} or set(graph.ancestors(list(a.inputs.values()))) & {other}:
                continue
            _join(graph, a, b)


def _join(graph: Graph, a: Node, b: Node) -> None:
    inputs: dict[str, str] = {}
    by_value: dict[str, Name] = {}

    def operand(v: str) -> Name:
        if v not in by_value:
            by_value[v] = Name(f"x{len(by_value)}")
            inputs[by_value[v].id] = v
        return by_value[v]

    terms = []
    for node in (a, b):
        names = {argument: operand(v) for argument, v in node.inputs.items()}
        for _, kind, expression in node.op.terms:
            terms.append((f"y{len(terms)}", kind, substitute(expression, names)))
    outputs = (*a.outputs, *b.outputs)
    joint = replace(b, op=Reduce(tuple(terms), tuple(inputs), a.op.axes, a.op.keepdims), inputs=inputs, outputs=outputs, origin=b.origin.joined(a.origin))
    del graph.nodes[a.name]
    graph.nodes[b.name] = joint
    for value in a.outputs:
        graph.values[value] = replace(graph.values[value], producer=b.name)
