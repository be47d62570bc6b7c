"""Outside of training: dropout does nothing, states are read and not written."""

from __future__ import annotations

import numpy as np

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.ops.activation.relu import Relu
from flownet.ops.random.dropout import Dropout
from flownet.passes.specialise_inference import specialise_inference
from flownet.types import DType, TensorType


def with_dropout() -> Graph:
    g = Builder(Graph())
    hidden = g.add(Dropout(rate=0.5), g.input("x", TensorType(DType.float32, (1000,))), name="drop")
    hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    g.graph.output(g.add(Relu(), hidden, name="y").name)
    return g.graph


def test_dropout_lets_everything_through() -> None:
    x = np.ones(1000, np.float32)
    session = Session(CPU())
    np.testing.assert_array_equal(session.run(specialise_inference(with_dropout()), {"x": x})["y"], x)


def test_in_training_it_does_not() -> None:
    y = Session(CPU()).run(with_dropout(), {"x": np.ones(1000, np.float32)})["y"]
    assert set(np.unique(y)) == {0, 2}  # what is kept is scaled by 1 / (1 - rate)
    assert 400 < (y == 0).sum() < 600


def test_nothing_is_updated() -> None:
    g = Builder(Graph())
    state = g.state("s", TensorType(DType.float32, (1,)), 0.0)
    g.graph.updates["s"] = g.add(Relu(), state).name
    g.graph.output(g.add(Relu(), g.input("x", TensorType(DType.float32, (1,))), name="y").name)
    special = specialise_inference(g.graph)
    assert special.updates == {}
    assert list(special.nodes) == ["y"]
