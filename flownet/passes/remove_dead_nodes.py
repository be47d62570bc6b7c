"""Remove the nodes that no output and no update depends on, and the values that nobody uses any more."""

from __future__ import annotations

from flownet.graph import Graph, Kind

__all__ = ["remove_dead_nodes"]


def remove_dead_nodes(graph: Graph) -> Graph:
    """The graph reduced to what is fetched or carried on. Inputs, parameters and states stay: they are the interface."""
    live = graph.ancestors([*graph.outputs.values(), *graph.updates.values()])
    used = {name for node in live for name in graph.nodes[node].inputs.values()}
    used.update(graph.outputs.values(), graph.updates.values())
    twin = graph.copy()
    twin.nodes = {name: node for name, node in graph.nodes.items() if name in live}
    twin.values = {
        name: value
        for name, value in graph.values.items()
        if (value.producer in live if value.kind is Kind.RESULT else value.kind is not Kind.CONSTANT or name in used)
    }
    return twin
