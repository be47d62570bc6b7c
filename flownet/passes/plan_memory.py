"""Give every value its place in one arena, so that values which never live at the same time share their bytes.

The offsets are found greedily by size: the largest tensor first, each at the lowest place that is free for all of its
life (Pisarchyk, Lee 2020, "greedy by size for offset calculation"). A view lives where what it views lives. No plan
can be smaller than the most that is alive at one step, so `lower_bound` says how good the plan is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flownet.graph import Graph, Kind, Node

__all__ = ["Lifetime", "MemoryPlan", "lifetimes", "place", "plan_memory"]

ALIGNMENT = 64  # bytes: a cache line, and an AVX-512 register


@dataclass(frozen=True)
class Lifetime:
    """A tensor that needs `nbytes` from step `first` to step `last`, both included."""

    name: str
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where each value lives: `offsets` in bytes by the name of the buffer, `buffer_of` value -> buffer."""

    offsets: Mapping[str, int]
    buffer_of: Mapping[str, str]
    lifetimes: Mapping[str, Lifetime]
    arena_bytes: int
    lower_bound: int


def plan_memory(graph: Graph, order: Sequence[Node], *, external: Iterable[str] = ()) -> MemoryPlan:
    """Place all results of the nodes, which run in `order`; values in `external` have memory of their own."""
    found, buffer_of = lifetimes(graph, order, external=external)
    offsets, size = place(list(found.values()))
    alive = np.zeros(len(order) + 1, np.int64)
    for life in found.values():
        alive[life.first] += life.nbytes
        alive[life.last + 1] -= life.nbytes
    bound = int(np.cumsum(alive).max(initial=0))
    return MemoryPlan(offsets, buffer_of, found, size, bound)


def lifetimes(
    graph: Graph, order: Sequence[Node], *, external: Iterable[str] = ()
) -> tuple[dict[str, Lifetime], dict[str, str]]:
    """The life of every buffer, and value -> buffer. What is fetched, or becomes a state, lives to the end."""
    external = set(external)
    buffer_of = {name: name for name, value in graph.values.items() if value.kind is not Kind.RESULT}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for index, node in enumerate(order):
        for name in node.inputs.values():
            last[buffer_of[name]] = index
        for position, name in enumerate(node.outputs):
            views = node.op.is_view and position == 0 and name not in external
            buffer_of[name] = buffer_of[next(iter(node.inputs.values()))] if views else name
            first.setdefault(buffer_of[name], index)
            last[buffer_of[name]] = index
    end = len(order) - 1
    for name in (*graph.outputs.values(), *graph.updates.values()):
        last[buffer_of[name]] = end
    found = {}
    for name, start in first.items():
        if graph.values[name].kind is not Kind.RESULT or name in external:
            continue
        nbytes = -(-int(graph.values[name].type.nbytes) // ALIGNMENT) * ALIGNMENT  # type: ignore[arg-type]
        found[name] = Lifetime(name, nbytes, start, last[name])
    return found, buffer_of


def place(lives: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets by name, and the size of the arena.

    What is placed is kept sorted by offset in arrays, so that finding the smallest gap that fits is a few array
    operations: 15,000 tensors take about a second.
    """
    count = len(lives)
    placed = np.zeros((4, count), np.int64)  # first step, last step, offset, end; a column a tensor, by offset
    offsets: dict[str, int] = {}
    for n, life in enumerate(sorted(lives, key=lambda life: (-life.nbytes, life.first))):
        first, last, offset, end = placed[:, :n]
        rivals = np.flatnonzero((first <= life.last) & (last >= life.first))
        ends = np.maximum.accumulate(end[rivals])
        gap_starts = np.concatenate([[0], ends])
        gaps = offset[rivals] - gap_starts[:-1]
        fitting = np.flatnonzero(gaps >= life.nbytes)
        gap = fitting[np.argmin(gaps[fitting])] if len(fitting) else -1
        where = int(gap_starts[gap])
        at = int(np.searchsorted(offset, where))
        placed[:, at + 1 : n + 1] = placed[:, at:n]
        placed[:, at] = life.first, life.last, where, where + life.nbytes
        offsets[life.name] = where
    return offsets, int(placed[3].max(initial=0))
