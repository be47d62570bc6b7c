"""Give every value its place in one arena, so that values which never live at the same time share their bytes.

A view lives where what it views lives. No plan can be smaller than the most that is alive at one step, so `lower_bound`
says how good the plan is. `placement` finds the offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flownet.graph import Graph, Kind, Node
from flownet.passes.placement import Lifetime, most_alive, place

__all__ = ["MemoryPlan", "lifetimes", "plan_memory"]

ALIGNMENT = 64  # bytes: a cache line, and an AVX-512 register


@dataclass(frozen=True)
class MemoryPlan:
    """Where each value lives: `offsets` in bytes by the name of the buffer, `buffer_of` value -> buffer."""

    offsets: Mapping[str, int]
    buffer_of: Mapping[str, str]
    lifetimes: Mapping[str, Lifetime]
    arena_bytes: int
    lower_bound: int


def plan_memory(
    graph: Graph, order: Sequence[Node], *, external: Iterable[str] = (), kept: Iterable[str] = ()
) -> MemoryPlan:
    """Place all results of the nodes, which run in `order`.

    external: values that have memory of their own
    kept:     values that the next run needs too, besides what is fetched or becomes a state
    """
    found, buffer_of = lifetimes(graph, order, external=external, kept=kept)
    offsets, size = place(list(found.values()))
    return MemoryPlan(offsets, buffer_of, found, size, most_alive(list(found.values())))


def lifetimes(
    graph: Graph, order: Sequence[Node], *, external: Iterable[str] = (), kept: Iterable[str] = ()
) -> tuple[dict[str, Lifetime], dict[str, str]]:
    """The life of every buffer, and value -> buffer. What is kept or fetched, or becomes a state, lives to the end."""
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
    for name in (*graph.outputs.values(), *graph.updates.values(), *kept):
        last[buffer_of[name]] = end
    found = {}
    for name, start in first.items():
        if graph.values[name].kind is not Kind.RESULT or name in external:
            continue
        nbytes = -(-int(graph.values[name].type.nbytes) // ALIGNMENT) * ALIGNMENT  # type: ignore[arg-type]
        found[name] = Lifetime(name, nbytes, start, last[name])
    return found, buffer_of
