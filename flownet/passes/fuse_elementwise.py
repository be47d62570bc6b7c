"""Fuse elementwise nodes into those that read them, so that what passes between them never leaves the registers.

A node joins its reader when both have one shape and nobody else reads it, or everybody else who does may wait for the reader: the joint node then has
two outputs. Constants of one element become numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flownet.expression import Expression, Name, Number, substitute
from flownet.graph import Graph, Kind, Node
from flownet.kernels import Reduce
from flownet.op import Elementwise
from flownet.passes.positions import move_behind_inputs
from flownet.passes.simplify import simplified, size

__all__ = ["fuse_elementwise", "is_elementwise"]

_LARGEST = 160  # operations of one node: more would spill registers, and expressions are written out as trees


def is_elementwise(node: Node) -> bool:
    """Whether the node is expressions over operands, and nothing else."""
    return hasattr(node.op, "expressions") and node.device != "cpu"


def fuse_elementwise(graph: Graph) -> Graph:
    """The graph with chains of elementwise nodes as one node each."""
    graph = graph.copy()
    for node in list(graph.nodes.values()):
        if is_elementwise(node):
            graph.nodes[node.name] = numbers_put_in(graph, node)
        elif isinstance(node.op, Reduce) and node.device != "cpu":
            graph.nodes[node.name] = numbers_put_in_reduction(graph, node)
    users = graph.consumers()
    fetched = set(graph.outputs.values()) | set(graph.updates.values())
    order = [node.name for node in graph.topological()]
    position = {name: i for i, name in enumerate(order)}
    for name in order:
        if name not in graph.nodes or not is_elementwise(graph.nodes[name]):
            continue
        while (producer := _joinable(graph, graph.nodes[name], users, fetched, position)) is not None:
            _join(graph, producer, graph.nodes[name], users, fetched)
            later = {user.name for value in graph.nodes[name].outputs for user in users[value]}
            move_behind_inputs(graph, position, later, lambda value: [user.name for user in users[value]])
    return graph


def numbers_put_in(graph: Graph, node: Node) -> Node:
    """The node as an `Elementwise` of simple expressions, constants of one element being numbers in them."""
    numbers = _numbers(graph, node)
    terms = {o: simplified(substitute(e, numbers)) for o, e in node.op.expressions().items()}
    inputs = {a: n for a, n in node.inputs.items() if a not in numbers}
    shape = graph.values[node.outputs[0]].type.shape
    if not inputs or np.broadcast_shapes(*(graph.values[n].type.shape for n in inputs.values())) != shape:  # type: ignore[arg-type]
        inputs = dict(node.inputs)
        terms = dict(node.op.expressions())
    return replace(node, op=Elementwise(tuple(terms.items()), tuple(inputs)), inputs=inputs)


def numbers_put_in_reduction(graph: Graph, node: Node) -> Node:
    """The same for a reduction."""
    numbers = _numbers(graph, node)
    inputs = {a: n for a, n in node.inputs.items() if a not in numbers}
    full = np.broadcast_shapes(*(graph.values[n].type.shape for n in node.inputs.values()))  # type: ignore[arg-type]
    floats = any(graph.values[n].type.dtype.is_float for n in inputs.values())
    if not numbers or not floats or np.broadcast_shapes(*(graph.values[n].type.shape for n in inputs.values())) != full:  # type: ignore[arg-type]
        return node
    terms = tuple((o, kind, simplified(substitute(e, numbers))) for o, kind, e in node.op.terms)
    return replace(node, op=replace(node.op, terms=terms, operands=tuple(inputs)), inputs=inputs)


def _numbers(graph: Graph, node: Node) -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    for argument, name in node.inputs.items():
        value = graph.values[name]
        if value.kind is Kind.CONSTANT and value.type.size == 1 and value.type.dtype.is_float:
            found[argument] = Number(float(np.asarray(value.initial).reshape(())))
    return found


def _joinable(
    graph: Graph, node: Node, users: dict[str, list[Node]], fetched: set[str], position: dict[str, int]
) -> Node | None:
    """A producer that can join the node."""
    for value in dict.fromkeys(node.inputs.values()):
        producer_name = graph.values[value].producer
        if producer_name is None or not is_elementwise(graph.nodes[producer_name]):
            continue
        producer = graph.nodes[producer_name]
        if graph.values[producer.outputs[0]].type != graph.values[node.outputs[0]].type:
            continue
        total = sum(size(e) for e in node.op.expressions().values()) + sum(
            size(e) for e in producer.op.expressions().values()
        )
        if total * max(1, _uses(node, value)) > _LARGEST or len(node.inputs) + len(producer.inputs) > 14:
            continue
        others = {user.name for output in producer.outputs for user in users[output]} - {node.name}
        if all(_independent(graph, other, node, producer, position) for other in others):
            return producer
    return None


def _uses(node: Node, value: str) -> int:
    names = {a for a, n in node.inputs.items() if n == value}

    def count(e: Expression) -> int:
        return int(isinstance(e, Name) and e.id in names) + sum(count(a) for a in getattr(e, "arguments", ()))

    return sum(count(e) for e in node.op.expressions().values())


def _independent(graph: Graph, other: str, node: Node, producer: Node, position: dict[str, int]) -> bool:
    """Whether `node` does not need what `other` makes: else the joint node would wait for itself."""
    if position[other] > position[node.name]:
        return True
    seen: set[str] = set()
    stack = [node.name]
    low = position[other]
    while stack:
        for name in graph.nodes[stack.pop()].inputs.values():
            maker = graph.values[name].producer
            if maker is None or maker == producer.name or maker in seen or position[maker] < low:
                continue
            if maker == other:
                return False
            seen.add(maker)
            stack.append(maker)
    return True


def _join(graph: Graph, producer: Node, node: Node, users: dict[str, list[Node]], fetched: set[str]) -> None:
    inputs: dict[str, str] = {}
    by_value: dict[str, str] = {}

    def operand(value: str) -> Name:
        if value not in by_value:
            by_value[value] = f"x{len(by_value)}"
            inputs[by_value[value]] = value
        return Name(by_value[value])

    before = {a: operand(n) for a, n in producer.inputs.items()}
    made = {o: substitute(e, before) for o, e in producer.op.expressions().items()}
    values = dict(zip(producer.outputs, made.values(), strict=True))
    after: dict[str, Expression] = {a: values[n] if n in values else operand(n) for a, n in node.inputs.items()}
    results = {o: simplified(substitute(e, after)) for o, e in node.op.expressions().items()}
    terms: list[tuple[str, Expression]] = []
    outputs: list[str] = []
    for expression, value in zip(results.values(), node.outputs, strict=True):
        terms.append((f"y{len(terms)}", expression))
        outputs.append(value)
    for value, expression in values.items():
        if value in fetched or any(user.name != node.name for user in users[value]):
            terms.append((f"y{len(terms)}", expression))
            outputs.append(value)
    joint = replace(
        node,
        op=Elementwise(tuple(terms), tuple(inputs)),
        inputs=inputs,
        outputs=tuple(outputs),
        origin=node.origin.joined(producer.origin),
    )
    graph.nodes[node.name] = joint
    del graph.nodes[producer.name]
    for value in producer.outputs:
        if value in outputs:
            graph.values[value] = replace(graph.values[value], producer=node.name)
        else:
            del graph.values[value]
    for value in (*producer.inputs.values(), *node.inputs.values()):
        if value in users:
            users[value] = [joint if user.name in (node.name, producer.name) else user for user in users[value]]
            users[value] = list({user.name: user for user in users[value]}.values())
    for value in producer.outputs:  # the joint node makes them: it reads them no more
        users[value] = [user for user in users[value] if user.name != node.name]
