"""A layered layout of a directed acyclic graph, top down (Sugiyama, Tagawa, Toda 1981), for boxes of one size.

1. Layers by the longest path from a source; a source is pulled down to just above the first node that uses it.
2. An edge that spans several layers gets a bend in each layer between, so that it runs around the boxes there.
3. Sweeps up and down put each layer in the order of the mean of its neighbours (barycentres), the order with the fewest
   crossings being kept.
4. From the top, each box is put below the mean of the boxes that it hangs on, as near as the order of its layer lets
   it: a regression under order constraints, exact by pooling adjacent violators. An edge beside which another way leads
   to the same box is a skip connection, and has no say in this: the trunk of a network is a straight line.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

__all__ = ["Layout", "lay_out"]


@dataclass(frozen=True)
class Layout:
    """Centres of boxes, and the points that each edge runs through, from the centre of one box to that of another."""

    centres: Mapping[Hashable, tuple[float, float]]
    edges: Mapping[tuple[Hashable, Hashable], Sequence[tuple[float, float]]]
    width: float
    height: float


def lay_out(graph: nx.DiGraph, width: float, height: float, gap_x: float, gap_y: float) -> Layout:
    """The layout of `graph` with boxes of width × height, `gap_x` and `gap_y` apart."""
    layer = _layers(graph)
    order, neighbours = _with_bends(graph, layer)
    order = _uncrossed(order, neighbours)
    x = _columns(order, graph, neighbours, _skips(graph), width + gap_x, gap_x)
    left = min(x.values(), default=0.0)
    right = max(x.values(), default=0.0)
    y = {thing: number * (height + gap_y) + height / 2 for number, things in enumerate(order) for thing in things}
    at = {thing: (x[thing] - left + width / 2, y[thing]) for things in order for thing in things}
    edges = {}
    for start, end in graph.edges:
        bends = [at[("bend", start, end, number)] for number in range(layer[start] + 1, layer[end])]
        edges[start, end] = [at[start], *bends, at[end]]
    return Layout(
        {node: at[node] for node in graph}, edges, right - left + width, len(order) * (height + gap_y) - gap_y
    )


def _layers(graph: nx.DiGraph) -> dict[Hashable, int]:
    layer: dict[Hashable, int] = {}
    for node in nx.topological_sort(graph):
        layer[node] = max((layer[before] + 1 for before in graph.predecessors(node)), default=0)
    for node in graph:
        if not graph.in_degree(node) and graph.out_degree(node):
            layer[node] = min(layer[after] for after in graph.successors(node)) - 1
    return layer


def _with_bends(graph: nx.DiGraph, layer: Mapping[Hashable, int]) -> tuple[list[list], nx.DiGraph]:
    order: list[list] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    longer = nx.DiGraph()
    for node in graph:  # in the order of the graph, which is that of the file: the first branch stands left
        order[layer[node]].append(node)
        longer.add_node(node)
    for start, end in graph.edges:
        chain = [start, *(("bend", start, end, number) for number in range(layer[start] + 1, layer[end])), end]
        for number, bend in enumerate(chain[1:-1], layer[start] + 1):
            order[number].append(bend)
        nx.add_path(longer, chain)
    return order, longer


def _uncrossed(order: list[list], edges: nx.DiGraph, sweeps: int = 6) -> list[list]:
    best, fewest = order, _crossings(order, edges)
    for sweep in range(sweeps):
        if not fewest:
            break
        order = [list(things) for things in order]
        downward = sweep % 2 == 0
        numbers = range(1, len(order)) if downward else range(len(order) - 2, -1, -1)
        for number in numbers:
            beside = order[number - 1 if downward else number + 1]
            place = {thing: index for index, thing in enumerate(beside)}
            mean = {}
            for index, thing in enumerate(order[number]):
                around = edges.predecessors(thing) if downward else edges.successors(thing)
                places = [place[other] for other in around]
                mean[thing] = sum(places) / len(places) if places else index
            order[number].sort(key=mean.__getitem__)  # stable: equals keep their order
        crossings = _crossings(order, edges)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def _crossings(order: list[list], edges: nx.DiGraph) -> int:
    total = 0
    for above, below in pairwise(order):
        place = {thing: index for index, thing in enumerate(below)}
        ends = [sorted(place[other] for other in edges.successors(thing)) for thing in above]
        seen: list[int] = []
        for group in ends:
            total += sum(earlier > end for end in group for earlier in seen)
            seen += group
    return total


def _skips(graph: nx.DiGraph) -> set[tuple[Hashable, Hashable]]:
    """The edges beside which another way leads from their start to their end."""
    if len(graph) > 2000:  # the transitive reduction takes time by nodes times edges
        return {edge for edge in graph.edges if graph.in_degree(edge[1]) > 1}
    return set(graph.edges) - set(nx.transitive_reduction(graph).edges)


def _columns(
    order: list[list], graph: nx.DiGraph, edges: nx.DiGraph, skips: set, apart: float, apart_bends: float
) -> dict:
    """The x of everything. Two boxes are `apart`; beside a bend half of that is enough, and two bends need little."""
    x: dict = {}
    for things in order:
        wanted, weights = [], []
        for thing in things:
            above = list(edges.predecessors(thing))
            trunk = [other for other in above if not _is_skip(other, thing, graph, skips)] or above
            wanted.append(sum(x[other] for other in trunk) / len(trunk) if trunk else 0.0)
            weights.append(1000.0 if thing in graph else 1.0 if thing[1:3] in skips else 30.0)
        offsets = [0.0]
        for before, after in pairwise(things):
            both = (before in graph) + (after in graph)
            offsets.append(offsets[-1] + (apart_bends, apart / 2 + apart_bends / 2, apart)[both])
        fitted = _nondecreasing([w - o for w, o in zip(wanted, offsets, strict=True)], weights)
        x.update({thing: value + offset for thing, value, offset in zip(things, fitted, offsets, strict=True)})
    return x


def _is_skip(above: Hashable, below: Hashable, graph: nx.DiGraph, skips: set) -> bool:
    if above in graph:
        return (above, below) in skips
    return below in graph and above[1:3] in skips  # type: ignore[index]


def _nondecreasing(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nondecreasing sequence nearest to `values` in weighted least squares.

    >>> _nondecreasing([3.0, 1.0, 5.0], [1.0, 1.0, 1.0])
    [2.0, 2.0, 5.0]
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean_b, weight_b, count_b), (mean_a, weight_a, count_a) = pools.pop(), pools.pop()
            both = weight_a + weight_b
            pools.append(((mean_a * weight_a + mean_b * weight_b) / both, both, count_a + count_b))
    return [mean for mean, _, count in pools for _ in range(count)]
