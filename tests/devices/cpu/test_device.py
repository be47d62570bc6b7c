"""The CPU device: what a program computes, in which memory, and what it says when something is not finite."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU, CPUProgram
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.exp import Exp
from flownet.ops.arithmetic.log import Log
from flownet.ops.linear.dense import Dense
from flownet.ops.shape.flatten import Flatten
from flownet.types import DType, TensorType

FLOAT = TensorType(DType.float32, (4,))


def program_of(graph: Graph, session: Session | None = None) -> CPUProgram:
    program = (session or Session(CPU())).plan(graph).program
    assert isinstance(program, CPUProgram)
    return program


def test_a_view_runs_nothing_and_copies_nothing() -> None:
    g = Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (2, 3, 4)))
    g.graph.output(g.add(Relu(), g.add(Flatten(), g.add(Relu(), x)), name="y").name)
    program = program_of(g.graph)
    assert [step.kernel for step in program.steps] == ["relu", "relu"]
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    program.feed("x", values)
    program.run()
    np.testing.assert_array_equal(program.fetch("y"), np.maximum(values, 0).reshape(2, 12))


def test_a_view_of_an_input_can_be_fetched() -> None:
    g = Builder(Graph())
    g.graph.output(g.add(Flatten(), g.input("x", TensorType(DType.float32, (1, 2, 2))), name="flat").name)
    program = program_of(g.graph)
    program.feed("x", np.arange(4, dtype=np.float32).reshape(1, 2, 2))
    program.run()
    np.testing.assert_array_equal(program.fetch("flat"), [[0, 1, 2, 3]])


def update(text: str, **operands: str) -> Elementwise:
    return Elementwise((("y", parse(text)),), tuple(operands))


def test_an_elementwise_update_is_written_in_place() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 1.0)
    new = g.add(Elementwise((("y", parse("s * 2")),), ("s",)), s=state, name="new")
    g.graph.updates["s"] = new.name
    program = program_of(g.graph)
    assert "new" not in program.memory.offsets
    assert len(program.steps) == 1


def test_the_old_value_of_a_state_can_be_fetched_beside_its_update() -> None:
    g = Builder(Graph())
    state = g.state("s", FLOAT, 1.0)
    g.graph.updates["s"] = g.add(Elementwise((("y", parse("s * 2")),), ("s",)), s=state, name="new").name
    g.graph.outputs = {"new": "new"}
    session = Session(CPU())
    assert session.run(g.graph, {})["new"].tolist() == [2] * 4
    assert session.run(g.graph, {})["new"].tolist() == [4] * 4


def test_two_states_may_exchange_their_values() -> None:
    g = Builder(Graph())
    a, b = g.state("a", FLOAT, 1.0), g.state("b", FLOAT, 2.0)
    same = Elementwise((("y", parse("x + 0")),), ("x",))
    g.graph.updates["a"] = g.add(same, x=b, name="new_a").name
    g.graph.updates["b"] = g.add(same, x=a, name="new_b").name
    session = Session(CPU())
    session.run(g.graph, {})
    assert session.read()["a"].tolist() == [2] * 4
    assert session.read()["b"].tolist() == [1] * 4


def test_an_input_as_the_next_value_of_a_state() -> None:
    g = Builder(Graph())
    g.state("last", FLOAT, 0.0)
    g.graph.updates["last"] = g.input("x", FLOAT).name
    session = Session(CPU())
    session.run(g.graph, {"x": np.full(4, 7, np.float32)})
    assert session.read()["last"].tolist() == [7] * 4


def test_run_checked_names_the_first_node_that_is_not_finite() -> None:
    g = Builder(Graph())
    bad = g.add(Log(), g.add(Relu(), g.input("x", FLOAT), name="fine"), name="bad")
    g.graph.output(g.add(Exp(), bad, name="after").name)
    program = program_of(g.graph)
    program.feed("x", np.array([1, -1, 2, 3], np.float32))
    assert program.run_checked() == "bad"
    program.feed("x", np.ones(4, np.float32))
    assert program.run_checked() is None


def test_peak_bytes_count_inputs_states_and_the_arena() -> None:
    g = Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (1000, 100)))
    g.graph.output(g.add(Dense(units=50), x, name="y").name)
    program = program_of(g.graph)
    least = 1000 * 100 * 4 + (100 * 50 + 50) * 4 + 1000 * 50 * 4
    assert least <= program.peak_bytes <= least + 1024


def test_running_allocates_no_arrays() -> None:
    import tracemalloc

    g = Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (500, 100)))
    g.graph.output(g.add(Relu(), g.add(Dense(units=400), x), name="y").name)
    program = program_of(g.graph)
    program.run()
    tracemalloc.start()
    program.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # one value of this graph has 800,000 bytes; NumPy's own buffer for adding a row has 32 KiB
    assert peak < 100_000


@pytest.mark.parametrize("dtype", [DType.float32, DType.float64])
def test_both_precisions(dtype: DType) -> None:
    g = Builder(Graph())
    g.graph.output(g.add(Exp(), g.input("x", TensorType(dtype, (1,))), name="y").name)
    y = Session(CPU()).run(g.graph, {"x": np.ones(1, dtype.numpy)})["y"]
    assert y.dtype == dtype.numpy
    assert y[0] == np.exp(dtype.numpy.type(1))
