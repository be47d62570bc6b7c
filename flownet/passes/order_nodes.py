"""Choose the order in which nodes run: any topological order is right, this one keeps little memory alive.

Nodes run in the order in which they were added (forward, then backward as it unrolls), but those that only consume, the
optimiser's updates, run as soon as they can: the gradient that they use is free at once. An update in place must not
run before the last reader of what it overwrites, so it waits for all of them, except where one of them needs the new
value: there the old one is kept, and overwritten when all have run.

Whether a reader needs the new value is asked of every update. Ranks answer most of that without a search: in any order in
which values are made before they are used, what has the lower rank needs nothing of what has the higher one.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping

from flownet.graph import Graph, Node

__all__ = ["order_nodes"]


def order_nodes(graph: Graph) -> list[Node]:
    """The nodes in the order in which they run."""
    position = {name: index for index, name in enumerate(graph.nodes)}
    updating = {graph.values[value].producer for value in graph.updates.values()}
    followers: dict[str, set[str]] = defaultdict(set)
    waiting = dict.fromkeys(graph.nodes, 0)

    def edge(earlier: str | None, later: str) -> None:
        if earlier is not None and earlier != later and earlier in waiting and later not in followers[earlier]:
            followers[earlier].add(later)
            waiting[later] += 1

    readers: dict[str, list[str]] = {state: [] for state in graph.updates}
    for node in graph.nodes.values():
        for name in node.inputs.values():
            edge(graph.values[name].producer, node.name)
            if name in readers:
                readers[name].append(node.name)
        for earlier in node.after:
            edge(earlier, node.name)

    def ranks() -> dict[str, int]:  # updates last: their readers then mostly have lower ranks
        order = _sorted(followers, waiting, lambda name: position[name] + (name in updating) * len(position))
        return {name: rank for rank, name in enumerate(order)}

    rank = ranks()
    for state, value in graph.updates.items():
        producer = graph.values[value].producer
        others = [reader for reader in readers[state] if reader != producer]
        if producer is None or not others or _leads_to(followers, producer, others, rank):
            continue
        for reader in others:
            edge(reader, producer)
        if any(rank[reader] > rank[producer] for reader in others):
            rank = ranks()
    order = _sorted(followers, waiting, lambda name: -1 if name in updating else position[name])
    assert len(order) == len(graph.nodes), "the graph has a cycle"
    return [graph.nodes[name] for name in order]


def _sorted(
    followers: Mapping[str, set[str]], waiting: Mapping[str, int], preference: Callable[[str], int]
) -> list[str]:
    """The names in an order in which all come before their followers; the lowest preference first where there is a choice."""
    left = dict(waiting)
    ready = [(preference(name), name) for name, count in left.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for follower in followers.get(name, ()):
            left[follower] -= 1
            if left[follower] == 0:
                heapq.heappush(ready, (preference(follower), follower))
    return order


def _leads_to(followers: Mapping[str, set[str]], start: str, targets: list[str], rank: Mapping[str, int]) -> bool:
    """Whether one of `targets` has to run behind `start`."""
    last = max(rank[name] for name in targets)
    found: set[str] = set()
    stack = [start] if rank[start] < last else []
    while stack:
        for name in followers.get(stack.pop(), ()):
            if name not in found and rank[name] <= last:
                found.add(name)
                stack.append(name)
    return not found.isdisjoint(targets)
