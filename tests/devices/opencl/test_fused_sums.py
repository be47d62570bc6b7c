"""Sums that a product takes from its registers, at widths whose last block of columns is not whole."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl


@pytest.mark.parametrize("device", device_ids_and_gpu())
@pytest.mark.parametrize("n", [33, 112, 175, 200, 272])
def test_sums_of_columns(device, n):
    """tanh(a b) and its sums over the rows, as a layer's and its bias's gradients are. 175 and 200 gave sums of other columns."""
    m, k = 30, 300
    graph = Graph()
    g = Builder(graph)
    a, b = (g.input(name, TensorType(DType.float32, shape)) for name, shape in (("a", (m, k)), ("b", (k, n))))
    y = g.add(op("tanh"), g.add(op("matmul"), a, b, name="product"), name="y")
    graph.outputs = {"y": y.name, "sums": g.add(op("sum", axes=(0,)), y, name="columns").name}
    random = np.random.default_rng(n)
    arrays = {"a": random.normal(size=(m, k)), "b": random.normal(size=(k, n)) / k**0.5}
    plan = Session(opened(device)).plan(graph, {})
    found = plan({name: array.astype(np.float32) for name, array in arrays.items()})
    wanted = np.tanh(arrays["a"] @ arrays["b"])
    np.testing.assert_allclose(found["y"], wanted, atol=2e-5)
    np.testing.assert_allclose(found["sums"], wanted.sum(0), atol=2e-4)
