"""Let elementwise kernels and reductions read what is stretched only for them: they stretch operands themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flownet.graph import Graph, Node
from flownet.kernels import Copy, Reduce
from flownet.passes.remove_dead_nodes import remove_dead_nodes

__all__ = ["absorb_broadcasts"]


def absorb_broadcasts(graph: Graph) -> Graph:
    """The graph with pure broadcasts bypassed wherever another operand still says the shape."""
    graph = graph.copy()
    stretched = {node.outputs[0]: node for node in graph.nodes.values() if _is_broadcast(graph, node)}
    for node in list(graph.nodes.values()):
        if not (hasattr(node.op, "expressions") or isinstance(node.op, Reduce)):
            continue
        for argument, name in list(node.inputs.items()):
            if name not in stretched:
                continue
            source = next(iter(stretched[name].inputs.values()))
            shapes = [graph.values[n].type.shape for a, n in node.inputs.items() if a != argument]
            shapes.append(graph.values[source].type.shape)
            if np.broadcast_shapes(*shapes) == tuple(np.broadcast_shapes(graph.values[name].type.shape, *shapes)):  # type: ignore[arg-type]
                node = replace(node, inputs={**node.inputs, argument: source})
                graph.nodes[node.name] = node
    return remove_dead_nodes(graph)


def _is_broadcast(graph: Graph, node: Node) -> bool:
    """Whether a copy only repeats elements, by the rules of broadcasting."""
    if not isinstance(node.op, Copy):
        return False
    (x,) = node.inputs.values()
    source, shape = graph.values[x].type.shape, node.op.shape
    lead = len(shape) - len(source)
    if lead < 0:
        return False
    for i, ((offset, axis, step, divisor), size) in enumerate(zip(node.op.coordinates, source, strict=True)):
        same = (offset, axis, step, divisor) == (0, lead + i, 1, 1) and shape[lead + i] == size
        if not same and not (axis is None and offset == 0 and size == 1):
            return False
    return True
