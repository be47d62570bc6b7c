"""Losses of scores so large that a float's last place is a thousandth."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl


@pytest.mark.parametrize("device", device_ids())
def test_logarithms_keep_their_digits_beside_large_scores(device):
    """Scores near 1e4, whose last place is a thousandth: log Σ exp must not be added to the largest of them."""
    x = (1e4 + np.array([[0.0, -1.0, -2.0, 0.5], [3.0, 3.0, 3.0, 3.0]])).astype(np.float32)
    label = np.array([1, 3])
    graph = Graph()
    g = Builder(graph)
    scores, target = (
        g.input("x", TensorType(DType.float32, x.shape)),
        g.input("t", TensorType(DType.int64, label.shape)),
    )
    graph.output(g.add(op("log_softmax"), x=scores, name="y").name)
    graph.output(g.add(op("cross_entropy", reduction="none"), logits=scores, target=target, name="loss").name)
    got = Session(opened(device)).run(graph, {"x": x, "t": label})
    exact = x.astype(np.float64)
    want = (
        exact - np.log(np.exp(exact - exact.max(1, keepdims=True)).sum(1, keepdims=True)) - exact.max(1, keepdims=True)
    )
    np.testing.assert_allclose(got["y"], want, atol=2e-6)
    np.testing.assert_allclose(got["loss"], -want[[0, 1], label], atol=2e-6)
