"""Compute at once what depends on constants alone."""

from __future__ import annotations

import numpy as np

from flownet.graph import Graph, Kind, Value
from flownet.passes.remove_dead_nodes import remove_dead_nodes

__all__ = ["fold_constants"]

_LARGEST = 1 << 16  # elements: folding must not turn a small graph into a large one


def fold_constants(graph: Graph) -> Graph:
    """The graph with nodes over constants replaced by constants."""
    graph = graph.copy()
    for node in list(graph.topological()):
        values = graph.input_values(node)
        if not values or any(value.kind is not Kind.CONSTANT for value in values):
            continue
        made = graph.output_values(node)
        if any(not value.type.is_concrete or value.type.size > _LARGEST for value in made):  # type: ignore[operator]
            continue
        arrays = node.op.run({a: np.asarray(graph.values[name].initial) for a, name in node.inputs.items()})
        graph.remove_node(node.name)
        for value, array in zip(made, arrays, strict=True):
            graph.add_value(
                Value(value.name, value.type, Kind.CONSTANT, initial=np.asarray(array), origin=value.origin)
            )
    return remove_dead_nodes(graph)
