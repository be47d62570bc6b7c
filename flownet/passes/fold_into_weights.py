"""Fold what scales and shifts the channels of a convolution or a dense layer into its weights.

A batch norm outside of training is `y · factor + offset` with one factor and one offset a channel. A layer that is linear in its
weights can have that for nothing: each filter is multiplied by its channel's factor, and the offset goes into the bias,

    (w ∗ x + b) · f + o  =  (w · f) ∗ x + (b · f + o)

The pass knows no batch norm. It takes every elementwise node that is the only reader of a layer's result, is linear in it, and
whose other operands do not change from run to run and have one number a channel, or one at all: a `mul` by a constant
and an `add` of a parameter fold as well. A training step changes its weights, and its batch norm looks at the batch: there nothing folds.

The folded weights are nodes over parameters alone. Every device computes such nodes when parameters were written and not in every
run (`unchanging`), so they follow when weights are loaded, set or trained further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from flownet.expression import Call, Expression, Name, Number, names, parse, substitute
from flownet.graph import Builder, Graph, Node, Value
from flownet.kernels import View
from flownet.op import Elementwise
from flownet.ops.shape.broadcast_to import BroadcastTo
from flownet.passes.remove_dead_nodes import remove_dead_nodes
from flownet.passes.simplify import simplified
from flownet.passes.unchanging import unchanging

__all__ = ["fold_into_weights", "linear_in"]


def fold_into_weights(graph: Graph) -> Graph:
    """The graph with scales and shifts of channels in the weights of the layers above them."""
    graph = graph.copy()
    folding = _Folding(graph)
    for name in list(graph.nodes):
        while name in graph.nodes and folding.fold(graph.nodes[name]):
            pass
    folding.put_in_order()
    return remove_dead_nodes(graph)


class _Folding:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.still = graph, unchanging(graph)
        self.readers: dict[str, set[str]] = {}
        for node in graph.nodes.values():
            for value in node.inputs.values():
                self.readers.setdefault(value, set()).add(node.name)
        self.fetched = {*graph.outputs.values(), *graph.updates.values()}
        self.made: dict[str, list[Node]] = {}  # layer -> the nodes of its weights

    def fold(self, layer: Node) -> bool:
        """Whether what reads the layer's result was taken into its weights."""
        graph = self.graph
        if layer.op.channel_axis is None or layer.device is not None or "weight" not in layer.inputs:
            return False
        y = layer.outputs[0]
        if y in self.fetched or len(self.readers.get(y, ())) != 1:
            return False
        if not self.still.issuperset(
            layer.inputs[argument] for argument in ("weight", "bias") if argument in layer.inputs
        ):
            return False
        (reader,) = (graph.nodes[name] for name in self.readers[y])
        if reader.device is not None or len(reader.outputs) != 1 or not hasattr(reader.op, "expressions"):
            return False
        if graph.values[reader.outputs[0]].type != graph.values[y].type:
            return False
        others = list(dict.fromkeys(name for name in reader.inputs.values() if name != y))
        if not all(self._is_of_channels(layer, name) for name in others):
            return False
        known = {name: Name(f"c{i}") for i, name in enumerate(others)} | {y: Name("y")}
        (expression,) = reader.op.expressions().values()
        linear = linear_in(substitute(expression, {a: known[name] for a, name in reader.inputs.items()}), "y")
        if linear is None or linear[0] == Number(0.0):
            return False
        if linear[1] != Number(0.0) and "bias" not in layer.op.signature_inputs:
            return False
        self._replace(layer, reader, {known[name].id: name for name in others}, *linear)
        return True

    def put_in_order(self) -> None:
        """Let the nodes of weights stand above their layers, so that nothing else changes its place."""
        new = {node.name for nodes in self.made.values() for node in nodes}
        nodes: dict[str, Node] = {}
        for name, node in self.graph.nodes.items():
            if name not in new:
                nodes.update({made.name: made for made in self.made.get(name, ())})
                nodes[name] = node
        self.graph.nodes = nodes

    def _is_of_channels(self, layer: Node, name: str) -> bool:
        """Whether the value does not change, and is one number a channel of the layer's result, or one at all."""
        value, result = self.graph.values[name], self.graph.values[layer.outputs[0]].type
        if name not in self.still or value.type.dtype != result.dtype or value.type.rank > result.rank:
            return False
        wanted: list[Any] = [1] * result.rank
        wanted[layer.op.channel_axis] = result.shape[layer.op.channel_axis]
        own = (1,) * (result.rank - value.type.rank) + tuple(value.type.shape)
        return all(size in (1, most) for size, most in zip(own, wanted, strict=True))

    def _replace(
        self, layer: Node, reader: Node, operands: Mapping[str, str], factor: Expression, offset: Expression
    ) -> None:
        """Put the layer with other weights in the place of the two nodes.

        operands: name in the expressions -> value
        """
        graph, op = self.graph, layer.op
        channels = int(graph.values[layer.outputs[0]].type.shape[op.channel_axis])  # type: ignore[arg-type]
        before = len(graph.nodes)
        g = Builder(graph, f"{layer.name}/folded", reader.origin, layer.device)
        values = {name: _as_vector(g, graph.values[value]) for name, value in operands.items()}
        inputs = dict(layer.inputs)
        if factor != Number(1.0):
            weight = graph.values[inputs["weight"]]
            inputs["weight"] = _scaled(g, op, weight, _computed(g, factor, values, weight)).name
        if "bias" in inputs:
            values["b"] = graph.values[inputs["bias"]]
            offset = simplified(Call("add", (Call("mul", (Name("b"), factor)), offset)))
        if offset != Number(0.0):
            bias = _computed(g, offset, values, graph.values[inputs["weight"]])
            inputs["bias"] = (bias if bias.type.shape == (channels,) else g.add(BroadcastTo((channels,)), bias)).name
            if any(field.name == "bias" for field in fields(op)):
                op = replace(op, bias=True)
        self.made[layer.name] = self.made.get(layer.name, []) + list(graph.nodes.values())[before:]
        self.still.update(name for node in self.made[layer.name] for name in node.outputs)
        (y,) = reader.outputs
        graph.nodes[layer.name] = replace(
            layer, op=op, inputs=op.in_order(inputs), outputs=reader.outputs, origin=layer.origin.joined(reader.origin)
        )
        del graph.nodes[reader.name], graph.values[layer.outputs[0]]
        graph.values[y] = replace(graph.values[y], producer=layer.name)


def linear_in(expression: Expression, name: str) -> tuple[Expression, Expression] | None:
    """(factor, offset) of an expression that is `factor * name + offset`, both without the name; None of any other.

    >>> [str(term) for term in linear_in(parse("(y - m) / s + 3"), "y")]
    ['div(1.0, s)', 'add(div(sub(0.0, m), s), 3.0)']
    >>> linear_in(parse("y * y"), "y")
    """
    if isinstance(expression, Name) and expression.id == name:
        return Number(1.0), Number(0.0)
    if name not in names(expression):
        return Number(0.0), expression
    assert isinstance(expression, Call)
    parts = [linear_in(argument, name) for argument in expression.arguments]
    if None in parts:
        return None
    terms: tuple[Expression, ...]
    match expression.function, parts:
        case ("add" | "sub" | "neg") as function, _:
            terms = tuple(Call(function, side) for side in zip(*parts, strict=True))
        case "mul", [(Number(value=0.0), constant), (factor, offset)] | [
            (factor, offset),
            (Number(value=0.0), constant),
        ]:
            terms = Call("mul", (factor, constant)), Call("mul", (offset, constant))
        case "div", [(factor, offset), (Number(value=0.0), constant)]:
            terms = Call("div", (factor, constant)), _divided(offset, constant)
        case _:
            return None
    factor, offset = map(simplified, terms)
    return factor, offset


def _divided(offset: Expression, divisor: Expression) -> Expression:
    return offset if offset == Number(0.0) else Call("div", (offset, divisor))


def _as_vector(g: Builder, value: Value) -> Value:
    """The value's numbers along one axis."""
    return value if value.type.rank == 1 else g.add(View((int(value.type.size),)), value)  # type: ignore[arg-type]


def _computed(g: Builder, expression: Expression, values: Mapping[str, Value], like: Value) -> Value:
    """The expression over vectors; a number alone takes the element type of `like`."""
    if isinstance(expression, Name):
        return values[expression.id]
    used = names(expression)
    if not used:
        assert isinstance(expression, Number), expression
        return g.constant(np.full(1, expression.value), like.type.dtype)
    return g.add(Elementwise((("y", expression),), used), **{name: values[name] for name in used})


def _scaled(g: Builder, op: Any, weight: Value, factor: Value) -> Value:
    """The weight of a layer, multiplied by one number a channel of the layer's result."""
    shape, channels = op.weight_channels(weight.type)
    if factor.type.size != 1:
        factor = g.add(View(channels), factor)
    seen = weight if weight.type.shape == shape else g.add(View(shape), weight)
    scaled = g.add(Elementwise((("y", parse("w * f")),), ("w", "f")), w=seen, f=factor, name=g.fresh("weight"))
    return scaled if weight.type.shape == shape else g.add(View(tuple(map(int, weight.type.shape))), scaled)  # type: ignore[arg-type]
