"""What depends on constants alone is computed once, when the plan is made."""

from __future__ import annotations

import numpy as np

from flownet.graph import Builder, Graph, Kind
from flownet.ops.arithmetic.add import Add
from flownet.ops.arithmetic.exp import Exp
from flownet.ops.reduction.sum import Sum
from flownet.passes.expand_composites import expand_composites
from flownet.passes.fold_constants import fold_constants
from flownet.types import DType, TensorType


def test_a_tree_of_constants_becomes_one_constant_with_its_value() -> None:
    g = Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (3,)))
    total = g.add(Add(), g.constant(np.float32([1, 2, 3])), g.constant(np.float32([10, 20, 30])), name="total")
    g.add(Add(), x, total, name="y")
    g.graph.output("y")
    left = fold_constants(expand_composites(g.graph))
    assert len(left.nodes) == 1
    (constant,) = left.of_kind(Kind.CONSTANT)
    np.testing.assert_array_equal(constant.initial, [11, 22, 33])


def test_a_constant_that_is_fetched_stays_fetched() -> None:
    g = Builder(Graph())
    g.add(Exp(), g.constant(np.float32([0.0])), name="one")
    g.graph.output("one")
    left = fold_constants(g.graph)
    assert not left.nodes
    np.testing.assert_array_equal(left.values[left.outputs["one"]].initial, [1])


def test_what_depends_on_data_is_left_alone() -> None:
    g = Builder(Graph())
    g.add(Add(), g.input("x", TensorType(DType.float32, (1,))), g.constant(np.float32([1])), name="y")
    g.graph.output("y")
    assert list(fold_constants(g.graph).nodes) == ["y"]


def test_a_large_result_is_not_kept_in_the_graph() -> None:
    g = Builder(Graph())
    large = g.constant(np.ones(100_000, np.float32))
    g.add(Sum(), g.add(Exp(), large, name="large"), name="total")
    g.graph.output("total")
    assert list(fold_constants(g.graph).nodes) == ["large", "total"]
