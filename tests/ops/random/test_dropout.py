"""dropout: random elements set to zero while training."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.ops.random.dropout import Dropout
from flownet.passes.specialise_inference import specialise_inference
from flownet.testing.example import Example
from flownet.testing.reference import differentiated, evaluate, forward
from flownet.types import DType, Symbolic, TensorType

RNG = np.array([7, 41], np.uint32)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_that_is_dropped_and_scale_of_the_rest(rate):
    x = np.random.default_rng(0).uniform(1, 2, (200, 500))
    y = forward(Dropout(rate), {"x": x, "rng": RNG})["y"]
    kept = y != 0
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / x.size)  # four standard deviations
    np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-12)


def test_gradient_has_the_same_mask():
    inputs = {"x": np.random.default_rng(0).uniform(1, 2, (20, 50)), "rng": RNG}
    op = differentiated(Example(Dropout(0.3), inputs, states=frozenset({"rng"})))
    known = evaluate(op.graph, {**inputs, **op.seeds}, [op.outputs["y"], op.gradients["x"]])
    y, dx = known[op.outputs["y"]], known[op.gradients["x"]]
    assert 0.6 < (y != 0).mean() < 0.8
    assert ((y != 0) == (dx != 0)).all()
    np.testing.assert_allclose(dx[y != 0], op.seeds["seed/y"][y != 0] / 0.7, rtol=1e-12)


def test_two_nodes_drop_different_elements_and_inference_drops_none():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (Symbolic.symbol("N"), 100)))
    graph.output(g.add(Dropout(), x, name="a").name, g.add(Dropout(), x, name="b").name)
    ones = np.ones((4, 100), np.float32)
    session = Session(CPU(), seed=3, check=True)
    drawn = session.run(graph, {"x": ones})
    assert 0.3 < ((drawn["a"] != 0) == (drawn["b"] != 0)).mean() < 0.7
    assert set(np.unique(drawn["a"])) == {0.0, 2.0}
    settled = session.run(specialise_inference(graph), {"x": ones})
    assert (settled["a"] == 1).all()


def test_float64():
    y = forward(Dropout(), {"x": np.ones((3, 4)), "rng": RNG})["y"]
    assert y.dtype == np.float64


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_that_make_no_sense(rate):
    with pytest.raises(FlownetError, match=f"`rate` of `dropout` must be at least 0 and below 1, got {rate}"):
        Dropout(rate).checked()
