"""Positions of nodes that say which cannot depend on which, kept true while passes join nodes.

Starting from a topological order, no node has a lower position than one that it depends on. So a search for what a node depends on may
leave out everything with a lower position than what it looks for. A joint node depends on what its parts did, and
may have to move back, and its readers with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flownet.graph import Graph

__all__ = ["move_behind_inputs"]


def move_behind_inputs(
    graph: Graph, position: dict[str, int], names: Iterable[str], readers: Callable[[str], Iterable[str]]
) -> None:
    """Raise the positions of the nodes `names`, and of those that follow them, to what their inputs' makers have at least.

    readers: value -> names of the nodes that use it
    """
    stack = list(names)
    while stack:
        node = graph.nodes[stack.pop()]
        makers = (graph.values[value].producer for value in node.inputs.values())
        least = max((position[maker] for maker in makers if maker), default=0)
        if least > position[node.name]:
            position[node.name] = least
            stack += [reader for value in node.outputs for reader in readers(value)]
