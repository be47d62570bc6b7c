"""Replace every op by what it is outside of training: dropout does nothing, batch norm uses its running statistics."""

from __future__ import annotations

from dataclasses import replace

from flownet.graph import Graph
from flownet.passes.remove_dead_nodes import remove_dead_nodes

__all__ = ["specialise_inference"]


def specialise_inference(graph: Graph) -> Graph:
    """The graph for inference; it updates nothing."""
    graph = graph.copy()
    graph.updates = {}
    for node in list(graph.nodes.values()):
        op = node.op.inference()
        if op is node.op:
            continue
        kept = [a for a in node.inputs if op.variadic or a in op.signature_inputs]
        for output in node.outputs[len(op.outputs) :]:
            del graph.values[output]
        inputs = {a: node.inputs[a] for a in kept}
        graph.nodes[node.name] = replace(node, op=op, inputs=inputs, outputs=node.outputs[: len(op.outputs)])
    return remove_dead_nodes(graph)
