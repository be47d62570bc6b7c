"""Compute once what is computed twice: nodes with the same op, attributes and inputs become one."""

from __future__ import annotations

import numpy as np

from flownet.graph import Graph, Kind

__all__ = ["merge_common_nodes"]


def merge_common_nodes(graph: Graph) -> Graph:
    """The graph without repeated nodes. An op is its class and attributes; random ops differ by their stream."""
    graph = graph.copy()
    merged: dict[str, str] = {}
    constants: dict[tuple, str] = {}
    for value in graph.of_kind(Kind.CONSTANT):
        array = np.asarray(value.initial)
        if (
            array.size <= 16
        ):  # the ones and zeros of differentiation; comparing large ones would cost more than it saves
            known = constants.setdefault((value.type, array.tobytes()), value.name)
            if known != value.name:
                merged[value.name] = known
    seen: dict[tuple, tuple[str, ...]] = {}
    for node in list(graph.topological()):
        key = (node.op, node.device, tuple((a, merged.get(name, name)) for a, name in node.inputs.items()))
        known_outputs = seen.setdefault(key, node.outputs)
        if known_outputs is not node.outputs:
            merged.update(zip(node.outputs, known_outputs, strict=True))
    updated = set(graph.updates.values())
    # two states may not have one next value: an in-place update could not serve both
    for old in [old for old in merged if old in updated]:
        del merged[old]
    graph.replace_values(merged)
    return graph
