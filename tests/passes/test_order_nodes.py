"""The order in which nodes run: values before users, updates after readers, and as early as they can."""

from __future__ import annotations

from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise
from flownet.ops.activation.relu import Relu
from flownet.passes.order_nodes import order_nodes
from flownet.types import DType, TensorType

FLOAT = TensorType(DType.float32, (2,))


def names(graph: Graph) -> list[str]:
    return [node.name for node in order_nodes(graph)]


def plus_one() -> Elementwise:
    return Elementwise((("y", parse("x + 1")),), ("x",))


def test_nodes_run_as_they_were_added_where_that_is_possible() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    a = g.add(Relu(), x, name="a")
    g.add(Relu(), x, name="b")
    g.add(Relu(), a, name="c")
    assert names(g.graph) == ["a", "b", "c"]


def test_values_are_made_before_they_are_used_however_nodes_were_added() -> None:
    g = Builder(Graph())
    g.add(Relu(), g.add(Relu(), g.input("x", FLOAT), name="first"), name="second")
    g.graph.nodes = dict(reversed(g.graph.nodes.items()))
    assert names(g.graph) == ["first", "second"]


def test_an_update_waits_for_all_who_read_the_old_value() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 0.0)
    new = g.add(plus_one(), x=state, name="update")
    g.add(Relu(), state, name="reader")
    g.graph.updates["s"] = new.name
    assert names(g.graph) == ["reader", "update"]


def test_an_update_runs_as_soon_as_it_can_so_that_its_gradient_is_free() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 0.0)
    gradient = g.add(Relu(), state, name="gradient")
    later = g.add(Relu(), gradient, name="later")
    g.add(Relu(), later, name="last")
    new = g.add(Elementwise((("y", parse("s - g")),), ("s", "g")), s=state, g=gradient, name="update")
    g.graph.updates["s"] = new.name
    assert names(g.graph) == ["gradient", "update", "later", "last"]


def test_a_reader_that_needs_the_new_value_does_not_hold_the_update_up() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 0.0)
    new = g.add(plus_one(), x=state, name="update")
    g.add(Elementwise((("y", parse("old - new")),), ("old", "new")), old=state, new=new, name="difference")
    g.graph.updates["s"] = new.name
    assert names(g.graph) == ["update", "difference"]


def test_after_is_obeyed_without_a_value() -> None:
    from dataclasses import replace

    g = Builder(Graph())
    x = g.input("x", FLOAT)
    g.add(Relu(), x, name="a")
    g.add(Relu(), x, name="b")
    g.graph.nodes["a"] = replace(g.graph.nodes["a"], after=("b",))
    assert names(g.graph) == ["b", "a"]


def test_two_updates_that_read_each_other_s_state_have_an_order() -> None:
    g = Builder(Graph())
    a, b = g.state("a", FLOAT, 1.0), g.state("b", FLOAT, 2.0)
    g.graph.updates["a"] = g.add(plus_one(), x=b, name="new_a").name
    g.graph.updates["b"] = g.add(plus_one(), x=a, name="new_b").name
    assert sorted(names(g.graph)) == ["new_a", "new_b"]


def test_a_reader_far_behind_the_new_value_does_not_hold_the_update_up() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 0.0)
    value = g.add(plus_one(), x=state, name="update")
    g.graph.updates["s"] = value.name
    for number in range(3):
        value = g.add(Relu(), value, name=f"relu_{number}")
    g.add(Elementwise((("y", parse("old - new")),), ("old", "new")), old=state, new=value, name="difference")
    assert names(g.graph)[-1] == "difference"
