"""Reverse-mode differentiation: add the nodes that compute the gradients of a scalar, by the chain rule, backwards.

Only what leads from a value that somebody asked about to the scalar gets a gradient, so that the first layer's `dx` is
never computed. Where a value is used several times, its gradients are added in one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from flownet.errors import FlownetError
from flownet.expression import Call, Expression, Name
from flownet.graph import Builder, Graph, Node, Value
from flownet.op import Elementwise

__all__ = ["differentiate", "sum_of"]


def differentiate(graph: Graph, of: str, wrt: Iterable[str]) -> tuple[Graph, dict[str, str]]:
    """The graph with gradient nodes, and for each value of `wrt` the name of its gradient.

    of:  the value to differentiate; where it is no scalar, the sum of its elements is meant
    wrt: values of any kind; one that `of` does not depend on has a gradient of zeros

    Gradient nodes are named after the node that they differentiate (`conv2d_1'`). Composite ops must be expanded before.
    """
    wrt = list(dict.fromkeys(wrt))
    graph = graph.copy()
    for name in [of, *wrt]:
        if name not in graph.values:
            raise FlownetError.of("unknown-value", f"there is no value `{name}` to differentiate")
    reached = graph.ancestors([of])
    order = [node for node in graph.topological() if node.name in reached]
    needed = _depending_on(graph, order, wrt)
    root = graph.values[of]
    g = Builder(graph)
    arriving: dict[str, list[Value]] = {of: [_ones_like(g, root)]}
    for node in reversed(order):
        if not any(name in needed for name in node.outputs):
            continue
        douts = {
            output: _accumulated(g, node.name, arriving, name)
            for output, name in zip(node.op.outputs, node.outputs, strict=True)
            if name in arriving
        }
        wanted = [a for a, name in node.inputs.items() if name in needed and graph.values[name].type.dtype.is_float]
        if not douts or not wanted:
            continue
        assert not node.op.is_composite, f"`{node.op.name}` must be expanded before it is differentiated"
        for argument, value in _gradients(graph, node, douts, wanted).items():
            arriving.setdefault(node.inputs[argument], []).append(value)
    gradients = {}
    for name in wrt:
        if name in arriving:
            gradients[name] = _accumulated(g, graph.values[name].producer or name, arriving, name).name
        else:
            zeros = np.zeros(_numbers(graph.values[name]))
            gradients[name] = g.constant(zeros, graph.values[name].type.dtype).name
    return graph, gradients


def sum_of(g: Builder, values: Sequence[Value]) -> Value:
    """One node that adds values of one type."""
    operands = tuple(f"x{i}" for i in range(len(values)))
    total: Expression = Name(operands[0])
    for operand in operands[1:]:
        total = Call("add", (total, Name(operand)))
    gradients = tuple((operand, Name("dy")) for operand in operands)
    return g.add(Elementwise((("y", total),), operands, gradients), **dict(zip(operands, values, strict=True)))


def _gradients(graph: Graph, node: Node, douts: dict[str, Value], wanted: list[str]) -> dict[str, Value]:
    inputs = {argument: graph.values[name] for argument, name in node.inputs.items()}
    outputs = dict(zip(node.op.outputs, graph.output_values(node), strict=True))
    below = Builder(graph, f"{node.name}'", node.origin, node.device)
    return node.op.gradient(below, inputs, outputs, douts, wanted)


def _accumulated(g: Builder, node: str, arriving: dict[str, list[Value]], name: str) -> Value:
    values = arriving[name]
    if len(values) > 1:
        arriving[name] = values = [sum_of(g.below(f"{node}'", g.graph.values[name].origin), values)]
    return values[0]


def _depending_on(graph: Graph, order: Iterable[Node], wrt: Iterable[str]) -> set[str]:
    needed = set(wrt)
    for node in order:
        if any(name in needed for name in node.inputs.values()):
            needed.update(name for name in node.outputs if graph.values[name].type.dtype.is_float)
    return needed


def _numbers(value: Value) -> tuple[int, ...]:
    if not value.type.is_concrete:
        raise FlownetError.of(
            "open-size",
            f"`{value.name}` is {value.type}: its gradient needs numbers for all sizes",
            help="bind the sizes first",
        )
    return tuple(int(dim) for dim in value.type.shape)  # type: ignore[arg-type]


def _ones_like(g: Builder, value: Value) -> Value:
    shape = () if value.type.rank == 0 else _numbers(value)
    return g.constant(np.ones(shape), value.type.dtype, name=g.fresh(f"{value.name}'/one"))
