"""What stays the same from run to run: devices compute it when parameters were written, not in every run."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flownet.graph import Graph, Kind, Node

__all__ = ["set_up_first", "unchanging"]


def unchanging(graph: Graph) -> set[str]:
    """The values that only a write from outside can change: parameters, states and constants that the graph does not update,
    and what is made of these alone.

    What a node on the host makes is not among them where the device is another one: it is a stage of every run.
    """
    still = {
        value.name
        for value in graph.values.values()
        if value.kind in (Kind.PARAMETER, Kind.STATE, Kind.CONSTANT) and value.name not in graph.updates
    }
    for node in graph.topological():
        if node.inputs and node.device is None and still.issuperset(node.inputs.values()):
            still.update(node.outputs)
    return still


def set_up_first(
    graph: Graph, order: Iterable[Node], still: Collection[str]
) -> tuple[list[Node], list[Node], set[str]]:
    """The nodes of `order` in two parts, and what the second part reads of the first: (set-up, run, kept).

    The set-up is what makes the unchanging values, `still`. What is kept must outlive a run.
    """
    setup: list[Node] = []
    run: list[Node] = []
    for node in order:
        (setup if node.outputs and all(name in still for name in node.outputs) and not node.after else run).append(node)
    made = {name for node in setup for name in node.outputs}
    fetched = {*graph.outputs.values(), *graph.updates.values()}
    return setup, run, made & {*fetched, *(name for node in run for name in node.inputs.values())}
