"""Replace every op by what it is outside of training: dropout does nothing, batch norm uses its running statistics."""

from __future__ import annotations

from dataclasses import replace

from flownet.graph import Graph
from flownet.passes.expand_composites import expand_composites
from flownet.passes.remove_dead_nodes import remove_dead_nodes

__all__ = ["specialise_inference"]


def specialise_inference(graph: Graph) -> Graph:
    """The graph for inference; it updates nothing, and composite ops are expanded.

    A composite op is asked first (dropout as a whole is nothing); what the others are built of is asked behind that.
    """
    graph = graph.copy()
    graph.updates = {}
    return remove_dead_nodes(_specialised(expand_composites(_specialised(graph))))


def _specialised(graph: Graph) -> Graph:
    graph = graph.copy()
    graph.updates = {}  # expanding a batch norm enters its running statistics again
    for node in list(graph.nodes.values()):
        op = node.op.inference()
        if op is node.op:
            continue
        inputs = {a: name for a, name in node.inputs.items() if op.variadic or a in op.signature_inputs}
        for output in node.outputs[len(op.outputs) :]:
            del graph.values[output]
        graph.nodes[node.name] = replace(node, op=op, inputs=inputs, outputs=node.outputs[: len(op.outputs)])
    return graph
