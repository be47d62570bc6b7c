"""A graph as text, one line a node, for people who debug passes and for tests that compare structure."""

from __future__ import annotations

from flownet.graph.graph import Graph, Kind

__all__ = ["to_text"]


def to_text(graph: Graph) -> str:
    """Inputs, then nodes in topological order, then outputs and updates.

    `y: float32[N, 2] = dense(x=image, weight=dense.weight)  # dense`
    """
    lines = [
        f"{value.kind.value} {value.name}: {value.type}"
        for value in graph.values.values()
        if value.kind is not Kind.RESULT
    ]
    for node in graph.topological():
        made = ", ".join(f"{value.name}: {value.type}" for value in graph.output_values(node))
        used = ", ".join(f"{argument}={value}" for argument, value in node.inputs.items())
        lines.append(f"{made} = {node.op}({used})")
    texts = [name if name == value else f"{name}={value}" for name, value in graph.outputs.items()]
    lines.append(f"outputs {', '.join(texts)}")
    lines += [f"update {state} = {value}" for state, value in graph.updates.items()]
    return "\n".join(lines)
