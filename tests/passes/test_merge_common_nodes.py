"""Equal nodes become one; nodes that only look equal do not."""

from __future__ import annotations

import numpy as np

from flownet.graph import Builder, Graph
from flownet.ops.activation.leaky_relu import LeakyRelu
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.ops.random.dropout import Dropout
from flownet.passes.merge_common_nodes import merge_common_nodes
from flownet.passes.remove_dead_nodes import remove_dead_nodes
from flownet.types import DType, TensorType

FLOAT = TensorType(DType.float32, (2,))


def merged(graph: Graph) -> Graph:
    return remove_dead_nodes(merge_common_nodes(graph))


def test_chains_of_equal_nodes_become_one_chain() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    a, b = (g.add(Relu(), g.add(Relu(), x)) for _ in range(2))
    g.add(Add(), a, b, name="y")
    g.graph.output("y")
    left = merged(g.graph)
    assert len(left.nodes) == 3
    assert len(set(left.nodes["y"].inputs.values())) == 1


def test_attributes_and_inputs_tell_nodes_apart() -> None:
    g = Builder(Graph())
    x, z = g.input("x", FLOAT), g.input("z", FLOAT)
    for name, op, value in (
        ("a", LeakyRelu(slope=0.1), x),
        ("b", LeakyRelu(slope=0.2), x),
        ("c", LeakyRelu(slope=0.1), z),
    ):
        g.graph.output(g.add(op, value, name=name).name)
    assert len(merged(g.graph).nodes) == 3


def test_both_names_of_a_merged_output_can_be_fetched() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    g.graph.output(g.add(Relu(), x, name="a").name, g.add(Relu(), x, name="b").name)
    assert merged(g.graph).outputs == {"a": "a", "b": "a"}


def test_random_nodes_draw_numbers_of_their_own() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    a, b = g.add(Dropout(rate=0.5), x, name="a"), g.add(Dropout(rate=0.5), x, name="b")
    first = a[0] if isinstance(a, tuple) else a
    second = b[0] if isinstance(b, tuple) else b
    g.graph.output(first.name, second.name)
    from flownet.passes.expand_composites import expand_composites

    left = merged(expand_composites(g.graph))
    assert left.outputs["a"] != left.outputs["b"]


def test_equal_constants_become_one() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    one, other = (g.constant(np.ones(2, np.float32)) for _ in range(2))
    g.graph.output(g.add(Add(), x, one, name="a").name, g.add(Add(), x, other, name="b").name)
    assert len(merged(g.graph).nodes) == 1


def test_two_states_do_not_share_their_next_value() -> None:
    g = Builder(Graph())
    x = g.input("x", FLOAT)
    for name in ("s", "t"):
        g.state(name, FLOAT, 0.0)
        g.graph.updates[name] = g.add(Relu(), x).name
    left = merged(g.graph)
    assert left.updates["s"] != left.updates["t"]
