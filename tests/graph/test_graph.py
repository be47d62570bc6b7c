"""The graph as data: copies are independent, edges follow values, symbols are bound everywhere."""

from __future__ import annotations

import networkx as nx
import pytest

from flownet.graph import Builder, Graph, Kind
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.ops.linear.dense import Dense
from flownet.types import DType, Symbolic, TensorType

N = Symbolic.symbol("N")


@pytest.fixture
def graph() -> Graph:
    """image -> dense -> relu -> add(relu, dense)"""
    graph = Graph("small")
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (N, 4)))
    hidden = g.add(Dense(units=3), x)
    g.add(Add(), g.add(Relu(), hidden), hidden, name="sum")
    graph.output("sum")
    return graph


def test_nodes_and_values_have_the_names_that_the_builder_gives(graph: Graph) -> None:
    assert list(graph.nodes) == ["dense", "relu", "sum"]
    assert list(graph.values) == ["x", "dense.weight", "dense.bias", "dense", "relu", "sum"]
    assert [value.name for value in graph.parameters] == ["dense.weight", "dense.bias"]
    assert graph.values["sum"].producer == "sum"


def test_types_are_inferred_with_symbols(graph: Graph) -> None:
    assert str(graph.values["sum"].type) == "float32[N, 3]"
    assert graph.symbols() == {"N"}


def test_binding_puts_numbers_in_everywhere(graph: Graph) -> None:
    bound = graph.bind({"N": 5})
    assert bound.values["relu"].type.shape == (5, 3)
    assert bound.symbols() == set()
    assert graph.symbols() == {"N"}


def test_a_copy_is_independent(graph: Graph) -> None:
    twin = graph.copy()
    twin.remove_node("sum")
    twin.outputs.clear()
    assert "sum" in graph.nodes
    assert graph.outputs == {"sum": "sum"}


def test_consumers_name_each_node_once(graph: Graph) -> None:
    users = {name: [node.name for node in nodes] for name, nodes in graph.consumers().items()}
    assert users == {
        "x": ["dense"],
        "dense.weight": ["dense"],
        "dense.bias": ["dense"],
        "dense": ["relu", "sum"],
        "relu": ["sum"],
        "sum": [],
    }


def test_ancestors_are_what_a_value_depends_on(graph: Graph) -> None:
    assert graph.ancestors(["relu"]) == {"dense", "relu"}
    assert graph.ancestors(["x"]) == set()


def test_the_digraph_is_networkx_s(graph: Graph) -> None:
    found = graph.digraph()
    assert set(found.edges) == {("dense", "relu"), ("dense", "sum"), ("relu", "sum")}
    assert nx.is_directed_acyclic_graph(found)


def test_topological_order_makes_values_before_they_are_used(graph: Graph) -> None:
    graph.nodes = dict(reversed(graph.nodes.items()))
    assert [node.name for node in graph.topological()] == ["dense", "relu", "sum"]


def test_replaced_values_keep_the_names_under_which_they_are_fetched(graph: Graph) -> None:
    graph.output("relu")
    graph.replace_values({"relu": "dense"})
    assert graph.nodes["sum"].inputs == {"x0": "dense", "x1": "dense"}
    assert graph.outputs == {"sum": "sum", "relu": "dense"}


def test_the_text_of_a_graph(graph: Graph) -> None:
    lines = str(graph).splitlines()
    assert lines[0] == "input x: float32[N, 4]"
    assert lines[1] == "parameter dense.weight: float32[3, 4]"
    assert lines[3].startswith(
        "dense: float32[N, 3] = dense[units=3, bias=True](x=x, weight=dense.weight, bias=dense.bias)"
    )
    assert lines[-1] == "outputs sum"


def test_two_values_of_one_name_are_our_bug(graph: Graph) -> None:
    with pytest.raises(AssertionError, match="value x exists"):
        Builder(graph).input("x", TensorType(DType.float32, (1,)))


def test_a_builder_below_a_scope_names_after_it(graph: Graph) -> None:
    inner = Builder(graph, "block")
    assert [inner.add(Relu(), graph.values["dense"]).name for _ in range(2)] == ["block/relu", "block/relu_2"]


def test_parameters_that_are_given_are_shared(graph: Graph) -> None:
    g = Builder(graph)
    given = {name: graph.values[f"dense.{name}"] for name in ("weight", "bias")}
    g.add(Dense(units=3), graph.values["x"], name="twin", **given)
    assert len(graph.parameters) == 2
    assert graph.nodes["twin"].inputs["weight"] == "dense.weight"


def test_constants_keep_their_type() -> None:
    g = Builder(Graph())
    assert g.constant(2.0).type == TensorType(DType.float32, ())
    assert g.constant([1, 2]).type == TensorType(DType.int64, (2,))
    assert g.constant([1.0], DType.float64).type.dtype is DType.float64
    assert all(value.kind is Kind.CONSTANT for value in g.graph.values.values())
