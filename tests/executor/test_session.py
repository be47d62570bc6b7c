"""Sessions: parameters shared by name, one plan a size, and inputs that do not fit refused with the reason."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.executor.session import sizes_of
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise
from flownet.ops.arithmetic.add import Add
from flownet.ops.linear.dense import Dense
from flownet.types import DType, Symbolic, TensorType

N, T = Symbolic.symbol("N"), Symbolic.symbol("T")


def dense_graph() -> Graph:
    g = Builder(Graph())
    g.graph.output(g.add(Dense(units=2), g.input("x", TensorType(DType.float32, (N, 3))), name="y").name)
    return g.graph


def counter_graph() -> Graph:
    """count ← count + step"""
    g = Builder(Graph())
    count = g.state("count", TensorType(DType.float32, ()), 0.0)
    step = g.input("step", TensorType(DType.float32, ()))
    plus = Elementwise((("y", parse("a + b")),), ("a", "b"))
    g.graph.updates["count"] = g.add(plus, a=count, b=step, name="next").name
    g.graph.output("next")
    return g.graph


def test_a_run_computes_what_numpy_computes() -> None:
    session, graph = Session(CPU()), dense_graph()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    y = session.run(graph, {"x": x})["y"]
    weights = session.read()
    np.testing.assert_allclose(y, x @ weights["y.weight"].T + weights["y.bias"], rtol=1e-6)


def test_threads_get_the_outputs_of_their_own_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    session, graph = Session(CPU()), dense_graph()
    xs = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    want = [session.run(graph, {"x": x})["y"] for x in xs]
    program = session.plan(graph, {"N": 2}).program
    once = program.run
    monkeypatch.setattr(program, "run", lambda: (time.sleep(0.01), once(), time.sleep(0.01)))  # the others' turn
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda x: session.run(graph, {"x": x})["y"], xs))
    np.testing.assert_array_equal(got, want)


def test_any_batch_size_runs_and_each_has_one_plan() -> None:
    session, graph = Session(CPU()), dense_graph()
    for size in (1, 5, 1, 5, 0):
        assert session.run(graph, {"x": np.zeros((size, 3), np.float32)})["y"].shape == (size, 2)
    assert session.plan(graph, {"N": 5}) is session.plan(graph, {"N": 5})
    assert session.plan(graph, {"N": 5}) is not session.plan(graph, {"N": 1})


def test_states_are_carried_from_run_to_run() -> None:
    session, graph = Session(CPU()), counter_graph()
    results = [float(session.run(graph, {"step": np.float32(2)})["next"]) for _ in range(3)]
    assert results == [2, 4, 6]
    assert session.read()["count"] == 6


def test_graphs_share_parameters_by_name() -> None:
    session = Session(CPU(), seed=3)
    session.initialise(dense_graph())
    session.write({"y.bias": np.array([1, 2], np.float32)})
    np.testing.assert_array_equal(session.run(dense_graph(), {"x": np.zeros((1, 3), np.float32)})["y"], [[1, 2]])


def test_the_seed_decides_the_start() -> None:
    def weight(seed: int) -> np.ndarray:
        session = Session(CPU(), seed=seed)
        session.initialise(dense_graph())
        return session.read()["y.weight"]

    np.testing.assert_array_equal(weight(1), weight(1))
    assert not np.array_equal(weight(1), weight(2))


def test_arrays_are_copies_in_both_directions() -> None:
    session = Session(CPU())
    session.initialise(dense_graph())
    session.read()["y.bias"][:] = 9
    mine = np.array([1, 2], np.float32)
    session.write({"y.bias": mine})
    mine[:] = 9
    np.testing.assert_array_equal(session.read()["y.bias"], [1, 2])


def test_results_do_not_change_under_the_caller() -> None:
    session, graph = Session(CPU()), dense_graph()
    first = session.run(graph, {"x": np.ones((1, 3), np.float32)})["y"]
    kept = first.copy()
    session.run(graph, {"x": np.zeros((1, 3), np.float32)})
    np.testing.assert_array_equal(first, kept)


def test_writing_wrong_weights_changes_nothing_and_says_all_that_is_wrong() -> None:
    session = Session(CPU())
    session.initialise(dense_graph())
    before = session.read()
    with pytest.raises(FlownetError) as error:
        session.write({"y.bias": np.ones(2), "y.weight": np.ones((3, 3)), "y.weigth": np.ones(1)})
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "weights-mismatch"
    assert "`y.weight` is [3, 3] in the weights, float32[2, 3] in the graph" in diagnostic.notes
    assert any(
        "`y.weigth` is in the weights, not in the graph" in note and "`y.weight`" in note for note in diagnostic.notes
    )
    for name, array in session.read().items():
        np.testing.assert_array_equal(array, before[name])


def sequence_graph() -> Graph:
    g = Builder(Graph())
    a = g.input("a", TensorType(DType.float32, (N, T)))
    b = g.input("b", TensorType(DType.float32, (N, T)))
    g.graph.output(g.add(Add(), a, b, name="y").name)
    return g.graph


@pytest.mark.parametrize(
    ("shapes", "code", "text"),
    [
        ({"a": (2, 3)}, "missing-input", "`b` is not fed"),
        ({"a": (2, 3), "b": (2, 3), "c": (1,)}, "unknown-input", "no input `c`"),
        ({"a": (2, 3), "b": (2,)}, "input-mismatch", "it has 1 axes, not 2"),
        ({"a": (2, 3), "b": (2, 4)}, "size-conflict", "`T` would be both 3 and 4"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shapes: dict, code: str, text: str) -> None:
    with pytest.raises(FlownetError, match="(?s)" + text) as error:
        sizes_of(sequence_graph(), {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert error.value.diagnostics[0].code == code


def test_a_fixed_size_that_differs_is_refused() -> None:
    with pytest.raises(FlownetError, match=r"`x` is float32\[N, 3\], got float32\[5, 4\]"):
        Session(CPU()).run(dense_graph(), {"x": np.zeros((5, 4), np.float32)})


def test_sizes_in_arithmetic_are_checked_against_those_that_are_told() -> None:
    g = Builder(Graph())
    a = g.input("a", TensorType(DType.float32, (N,)))
    g.input("twice", TensorType(DType.float32, (2 * N,)))
    g.graph.output(g.add(Add(), a, a, name="y").name)
    good = {"a": np.zeros(3, np.float32), "twice": np.zeros(6, np.float32)}
    assert sizes_of(g.graph, good) == {"N": 3}
    with pytest.raises(FlownetError, match=r"with the sizes known it is \[6\]"):
        sizes_of(g.graph, {**good, "twice": np.zeros(5, np.float32)})


def test_a_symbol_that_no_input_tells_is_named() -> None:
    with pytest.raises(FlownetError, match="the size `N` is not known"):
        Session(CPU()).plan(dense_graph())


def test_no_pass_refuses_unknown_and_needed_passes() -> None:
    for name, code in (("fold_constant", "unknown-pass"), ("expand_composites", "needed-pass")):
        with pytest.raises(FlownetError) as error:
            Session(CPU(), without=[name]).plan(dense_graph(), {"N": 1})
        assert error.value.diagnostics[0].code == code
    assert Session(CPU(), without=["fold_constants"]).plan(dense_graph(), {"N": 1}).graph.nodes


def test_the_debugging_switch_checks_the_graph_behind_every_pass() -> None:
    from flownet.passes.pipeline import Pass, run_passes

    def breaks(graph: Graph, target: object) -> Graph:
        del graph.values["x"]
        return graph

    graph = dense_graph().bind({"N": 1})
    with pytest.raises(AssertionError, match="behind the pass breaks"):
        run_passes(graph, None, [Pass("breaks", breaks)], check=True)
