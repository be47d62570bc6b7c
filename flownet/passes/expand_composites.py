"""Replace every composite op by the ops that it is built of."""

from __future__ import annotations

from flownet.graph import Builder, Graph, Node

__all__ = ["expand_composites"]


def expand_composites(graph: Graph) -> Graph:
    """The graph without composite ops, nested ones included; what they are built of is named `node/op`."""
    if not any(node.op.is_composite for node in graph.nodes.values()):
        return graph
    graph = graph.copy()
    replacements: dict[str, str] = {}
    while composites := [node for node in graph.nodes.values() if node.op.is_composite]:
        for node in composites:
            replacements |= _expand(graph, node, replacements)
        graph.replace_values(_followed(replacements))
    return graph


def _expand(graph: Graph, node: Node, replacements: dict[str, str]) -> dict[str, str]:
    """Expand one node in place; by what its outputs are replaced."""
    values = {a: graph.values[_end(replacements, name)] for a, name in node.inputs.items()}
    arguments = list(values.values()) if node.op.variadic else [values.get(a) for a in node.op.signature_inputs]
    types = [graph.values[name].type for name in node.outputs]
    graph.remove_node(node.name)
    result = node.op.expand(Builder(graph, node.name, node.origin, node.device), *arguments)
    made = result if isinstance(result, tuple) else (result,)
    for value, type_ in zip(made, types, strict=True):
        assert value.type == type_, f"{node.op.name}: infer says {type_}, expand makes {value.type}"
    return {name: value.name for name, value in zip(node.outputs, made, strict=True)}


def _end(replacements: dict[str, str], name: str) -> str:
    while name in replacements:
        name = replacements[name]
    return name


def _followed(replacements: dict[str, str]) -> dict[str, str]:
    return {old: _end(replacements, old) for old in replacements}
