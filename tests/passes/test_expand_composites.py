"""Composite ops become the ops that they are built of, in place, with their names below the node's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.graph import Builder, Graph, Origin
from flownet.op import Op
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.ops.arithmetic.mul import Mul
from flownet.passes.expand_composites import expand_composites
from flownet.source import SourceFile, Span
from flownet.types import DType, TensorType


@dataclass(frozen=True)
class Twice(Op):
    """y = relu(x) + relu(x)·x, a composite of composites"""

    name = "twice"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def expand(self, g, x):
        r = g.add(Relu(), x)
        return g.add(Add(), r, g.add(Mul(), r, x))


@dataclass(frozen=True)
class Split(Op):
    """Two outputs, one of them the input itself."""

    name = "split"
    outputs = ("y", "same")

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        return x, x

    def expand(self, g, x):
        return g.add(Relu(), x), x


def graph_of(op: Op) -> Graph:
    g = Builder(Graph(), origin=Origin(Span(SourceFile("a.yaml", "x"), 1, 1, 1, 2)))
    made = g.add(op, g.input("x", TensorType(DType.float32, (4,))), name="node")
    made = made if isinstance(made, tuple) else (made,)
    g.add(Relu(), made[0], name="after")
    g.graph.output("after", *(value.name for value in made))
    return g.graph


def test_nested_composites_are_expanded_to_the_last() -> None:
    expanded = expand_composites(graph_of(Twice()))
    assert not any(node.op.is_composite for node in expanded.nodes.values())
    assert all(name == "after" or name.startswith("node/") for name in expanded.nodes)


def test_what_is_made_carries_the_place_of_the_node() -> None:
    graph = graph_of(Twice())
    assert all(node.origin == graph.nodes["node"].origin for node in expand_composites(graph).nodes.values())


def test_outputs_keep_their_names_and_values() -> None:
    x = np.array([-1, 0, 2, 3], np.float32)
    result = Session(CPU()).run(graph_of(Twice()), {"x": x})
    np.testing.assert_array_equal(result["node"], [0, 0, 6, 12])


def test_an_output_that_is_an_input_is_followed() -> None:
    graph = graph_of(Split())
    expanded = expand_composites(graph)
    assert expanded.outputs["node.same"] == "x"
    x = np.array([-1, 0, 2, 3], np.float32)
    np.testing.assert_array_equal(Session(CPU()).run(graph, {"x": x})["node.same"], x)


def test_the_graph_that_was_given_is_left_alone() -> None:
    graph = graph_of(Twice())
    expand_composites(graph)
    assert list(graph.nodes) == ["node", "after"]


def test_a_graph_without_composites_is_returned_as_it_is() -> None:
    graph = graph_of(Relu())
    assert expand_composites(graph) is graph
