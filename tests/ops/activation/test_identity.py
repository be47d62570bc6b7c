"""identity: what goes in, without a copy."""

from __future__ import annotations

import numpy as np

from flownet.graph import Builder, Graph
from flownet.ops.activation.identity import Identity
from flownet.passes.differentiate import differentiate
from flownet.types import DType, TensorType


def test_nothing_is_copied():
    x = np.arange(6.0).reshape(2, 3)
    assert Identity().forward(x) is x


def test_gradient_needs_no_node():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, ()))
    y = g.add(Identity(), x, name="y")
    twin, gradients = differentiate(graph, y.name, ["x"])
    assert list(twin.nodes) == ["y"]
    assert twin.values[gradients["x"]].initial == 1
