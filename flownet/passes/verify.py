"""Check that a graph is sound: the debugging switch runs it behind every pass, and names the pass that broke it."""

from __future__ import annotations

from flownet.graph import Graph, Kind

__all__ = ["verify"]


def verify(graph: Graph, behind: str = "") -> None:
    """Raise AssertionError, naming the pass, unless the graph is sound.

    Names are defined, producers and outputs agree, nothing runs in a circle, and the types that ops infer are the
    types that the values have.
    """
    where = f" behind the pass {behind}" if behind else ""
    for name, value in graph.values.items():
        assert name == value.name, f"value {name} calls itself {value.name}{where}"
        if value.kind is Kind.RESULT:
            assert value.producer in graph.nodes, f"value {name} has no producer{where}"
            assert name in graph.nodes[value.producer].outputs, f"{value.producer} does not make {name}{where}"
        else:
            assert value.producer is None, f"{value.kind.value} {name} has a producer{where}"
    for node in graph.nodes.values():
        for argument, name in node.inputs.items():
            assert name in graph.values, f"{node.name}.{argument} uses {name}, which does not exist{where}"
        for name in node.outputs:
            assert graph.values[name].producer == node.name, f"{name} is not made by {node.name}{where}"
        types = node.op.result_types({a: graph.values[name].type for a, name in node.inputs.items()})
        real = tuple(graph.values[name].type for name in node.outputs)
        assert types == real, f"{node.name} infers {[*map(str, types)]}, its values are {[*map(str, real)]}{where}"
    for name in [*graph.outputs.values(), *graph.updates.values(), *graph.updates]:
        assert name in graph.values, f"output or update {name} does not exist{where}"
    for state, name in graph.updates.items():
        assert graph.values[state].type == graph.values[name].type, f"update of {state} changes its type{where}"
    assert sum(1 for _ in graph.topological()) == len(graph.nodes)
