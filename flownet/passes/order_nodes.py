"""Choose the order in which nodes run: any topological order is right, this one keeps little memory alive.

Nodes run in the order in which they were added (forward, then backward as it unrolls), but those that only consume, the
optimiser's updates, run as soon as they can: the gradient that they use is free at once. An update in place must not
run before the last reader of what it overwrites, so it waits for all of them.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping

from flownet.graph import Graph, Node

__all__ = ["order_nodes"]


def order_nodes(graph: Graph) -> list[Node]:
    """The nodes in the order in which they run."""
    position = {name: index for index, name in enumerate(graph.nodes)}
    updating = {graph.values[value].producer: state for state, value in graph.updates.items()}
    followers: dict[str, set[str]] = defaultdict(set)
    waiting = dict.fromkeys(graph.nodes, 0)

    def edge(earlier: str | None, later: str) -> None:
        if earlier is not None and earlier != later and earlier in waiting and later not in followers[earlier]:
            followers[earlier].add(later)
            waiting[later] += 1

    readers: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes.values():
        for name in node.inputs.values():
            edge(graph.values[name].producer, node.name)
            readers[name].append(node.name)
        for earlier in node.after:
            edge(earlier, node.name)
    for state, value in graph.updates.items():
        producer = graph.values[value].producer
        if producer is None:
            continue
        # where a reader of the state needs its next value, the old one is kept, and overwritten when all have run
        behind = _reachable(followers, producer)
        if not any(reader in behind for reader in readers[state] if reader != producer):
            for reader in readers[state]:
                edge(reader, producer)
    ready = [(position[name], name) for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(graph.nodes[name])
        for follower in followers[name]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (-1 if follower in updating else position[follower], follower))
    assert len(order) == len(graph.nodes), "the graph has a cycle"
    return order


def _reachable(followers: Mapping[str, set[str]], start: str) -> set[str]:
    """The nodes that have to run behind `start`."""
    found: set[str] = set()
    stack = [start]
    while stack:
        for name in followers.get(stack.pop(), ()):
            if name not in found:
                found.add(name)
                stack.append(name)
    return found
