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
    readers: dict[str, set[str]] = {}
    for node in graph.nodes.values():
        for value in node.inputs.values():
            readers.setdefault(value, set()).add(node.name)
    for name in [node.name for node in graph.topological() if isinstance(node.op, Reduce) and node.device != "cpu"]:
        while _take_in(graph, graph.nodes[name], fetched, readers):
            pass
    _join_siblings(graph)
    return graph


def _take_in(graph: Graph, node: Node, fetched: set[str], readers: dict[str, set[str]]) -> bool:
    """Put the expression of one producer into the reduction, if there is one that can go. Whether there was."""
    shapes = {v: graph.values[v].type.shape for v in node.inputs.values()}
    full = np.broadcast_shapes(*shapes.values())  # type: ignore[arg-type]
    for value in dict.fromkeys(node.inputs.values()):
        producer = graph.values[value].producer
        if producer is None or value in fetched or not is_elementwise(graph.nodes[producer]):
            continue
        maker = graph.nodes[producer]
        if shapes[value] != full or len(maker.outputs) > 1 or readers[value] != {node.name}:
            continue
        expression = next(iter(maker.op.expressions().values()))
        uses = sum(_count(e, {a for a, n in node.inputs.items() if n == value}) for _, _, e in node.op.terms)
        if size(expression) * uses + sum(size(e) for _, _, e in node.op.terms) > _LARGEST:
            continue
        operands = dict.fromkeys((*maker.inputs.values(), *node.inputs.values()))
        inputs = {f"x{i}": v for i, v in enumerate(operands)}
        by_value = {v: Name(a) for a, v in inputs.items()}
        made = substitute(expression, {a: by_value[n] for a, n in maker.inputs.items()})
        after: dict[str, Expression] = {a: made if n == value else by_value[n] for a, n in node.inputs.items()}
        terms = tuple((o, kind, simplified(substitute(e, after))) for o, kind, e in node.op.terms)
        used = {n for _, _, e in terms for n in _names(e)}
        inputs = {a: v for a, v in inputs.items() if a in used}
        remaining = [graph.values[v].type for v in inputs.values()]
        if not remaining or not any(t.dtype.is_float for t in remaining):
            continue
        if np.broadcast_shapes(*(t.shape for t in remaining)) != full:  # type: ignore[arg-type]
            continue
        origin = node.origin.joined(maker.origin)
        graph.nodes[node.name] = replace(
            node, op=replace(node.op, terms=terms, operands=tuple(inputs)), inputs=inputs, origin=origin
        )
        graph.remove_node(maker.name)
        for read in maker.inputs.values():
            readers[read].discard(maker.name)
        for read in inputs.values():
            readers[read].add(node.name)
        return True
    return False


def _names(expression: Expression) -> set[str]:
    if isinstance(expression, Name):
        return {expression.id}
    return set().union(*(_names(a) for a in getattr(expression, "arguments", ())))


def _count(expression: Expression, names: set[str]) -> int:
    return int(isinstance(expression, Name) and expression.id in names) + sum(
        _count(a, names) for a in getattr(expression, "arguments", ())
    )


def _join_siblings(graph: Graph) -> None:
    """Reductions over the same axes of operands of which they share one, neither needing the other."""
    by_operand: dict[tuple, list[str]] = {}
    order = list(graph.topological())
    position = {node.name: i for i, node in enumerate(order)}
    joined = False
    for node in order:
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
            if _needs(graph, b, first, position):
                continue
            # joins change the order: after the first one, look at the whole graph
            if joined and (first in graph.ancestors(b.inputs.values()) or other in graph.ancestors(a.inputs.values())):
                continue
            _join(graph, a, b)
            joined = True


def _needs(graph: Graph, node: Node, earlier: str, position: dict[str, int]) -> bool:
    """Whether the node depends on the one called `earlier`."""
    stack, seen = [node.name], set()
    while stack:
        for value in graph.nodes[stack.pop()].inputs.values():
            maker = graph.values[value].producer
            if maker is None or maker in seen or position[maker] < position[earlier]:
                continue
            if maker == earlier:
                return True
            seen.add(maker)
            stack.append(maker)
    return False


def _join(graph: Graph, a: Node, b: Node) -> None:
    inputs = {f"x{i}": v for i, v in enumerate(dict.fromkeys((*a.inputs.values(), *b.inputs.values())))}
    by_value = {v: Name(argument) for argument, v in inputs.items()}
    terms: list[tuple[str, str, Expression]] = []
    for node in (a, b):
        names = {argument: by_value[v] for argument, v in node.inputs.items()}
        for _, kind, expression in node.op.terms:
            terms.append((f"y{len(terms)}", kind, substitute(expression, names)))
    outputs = (*a.outputs, *b.outputs)
    op = Reduce(tuple(terms), tuple(inputs), a.op.axes, a.op.keepdims)
    joint = replace(b, op=op, inputs=inputs, outputs=outputs, origin=b.origin.joined(a.origin))
    del graph.nodes[a.name]
    graph.nodes[b.name] = joint
    for value in a.outputs:
        graph.values[value] = replace(graph.values[value], producer=b.name)
