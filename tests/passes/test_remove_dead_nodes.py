"""What nobody fetches and nothing carries on is not computed."""

from __future__ import annotations

from flownet.graph import Builder, Graph
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.passes.remove_dead_nodes import remove_dead_nodes
from flownet.types import DType, TensorType

FLOAT = TensorType(DType.float32, (2,))


def test_only_what_leads_to_outputs_and_updates_is_left() -> None:
    g = Builder(Graph())
    x, state = g.input("x", FLOAT), g.state("s", FLOAT, 0.0)
    used = g.add(Relu(), x, name="used")
    g.add(Relu(), used, name="dead")
    g.add(Relu(), state, name="carried")
    g.graph.output("used")
    g.graph.updates["s"] = "carried"
    left = remove_dead_nodes(g.graph)
    assert list(left.nodes) == ["used", "carried"]
    assert "dead" not in left.values
    assert "dead" in g.graph.nodes


def test_inputs_and_parameters_are_the_interface_and_stay_and_unused_constants_go() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    g.input("unused", FLOAT)
    g.parameter("p", FLOAT, "zeros")
    g.constant([1.0, 2.0], DType.float32, name="dead")
    kept = g.constant([1.0, 2.0], DType.float32, name="kept")
    g.add(Add(), x, kept, name="y")
    g.graph.output("y")
    assert set(remove_dead_nodes(g.graph).values) == {"x", "unused", "p", "kept", "y"}


def test_a_chain_that_leads_nowhere_goes_as_a_whole() -> None:
    g = Builder(Graph())
    value = x = g.input("x", FLOAT)
    for _ in range(5):
        value = g.add(Relu(), value)
    g.add(Relu(), x, name="y")
    g.graph.output("y")
    assert list(remove_dead_nodes(g.graph).nodes) == ["y"]
