"""The graph of a training step: what it holds, and that its updates are the formulas of the papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.devices.cpu.device import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.training.training_graph import LEARNING_RATE, STEP, evaluation_graph, training_graph


def regression(**train: Any) -> flownet.Network:
    """y = x·Wᵀ + b with the course's squared error, in float64."""
    return flownet.load(
        {
            "inputs": {"x": "float32[N, 3]", "y": "float32[N, 1]"},
            "nodes": [{"dense": {"in": "x", "units": 1, "name": "line"}}],
            "train": {
                "loss": {"squared_error": {"in": ["line", "y"]}},
                "optimizer": {"sgd": {"learning_rate": 0.1}},
                "batch": 5,
                **train,
            },
        },
        device="cpu",
        dtype="float64",
    )


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1))


def steps(network: flownet.Network, count: int, rate: float = 0.1) -> tuple[list[float], dict[str, np.ndarray]]:
    graph = training_graph(network.document.train)
    losses = []
    for step in range(1, count + 1):
        inputs = {"x": X, "y": Y, LEARNING_RATE: np.float64(rate), STEP: np.float64(step)}
        losses.append(float(network.session.run(graph, inputs)["loss"]))
    return losses, network.session.read()


def gradient(w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Of the mean over the batch of ½(y − y*)², written out."""
    error = X @ w.T + b - Y
    return error.T @ X / len(X), error.mean(axis=0), float((error**2).sum() / 2 / len(X))


def start(network: flownet.Network) -> tuple[np.ndarray, np.ndarray]:
    return network.weights["line.weight"].copy(), network.weights["line.bias"].copy()


def test_one_step_of_gradient_descent() -> None:
    network = regression()
    w, b = start(network)
    dw, db, loss = gradient(w, b)
    losses, after = steps(network, 1)
    assert losses[0] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(after["line.weight"], w - 0.1 * dw, rtol=1e-12)
    np.testing.assert_allclose(after["line.bias"], b - 0.1 * db, rtol=1e-12)


def test_l2_is_a_part_of_the_loss() -> None:
    network = regression(regularise={"l2": 0.3})
    w, b = start(network)
    dw, db, loss = gradient(w, b)
    losses, after = steps(network, 1)
    assert losses[0] == pytest.approx(loss + 0.15 * (w**2).sum() + 0.15 * (b**2).sum(), rel=1e-12)
    np.testing.assert_allclose(after["line.weight"], w - 0.1 * (dw + 0.3 * w), rtol=1e-12)
    np.testing.assert_allclose(after["line.bias"], b - 0.1 * (db + 0.3 * b), rtol=1e-12)


def test_l1_is_a_part_of_the_loss() -> None:
    network = regression(regularise={"l1": 0.3})
    w, b = start(network)
    dw, _, loss = gradient(w, b)
    losses, after = steps(network, 1)
    assert losses[0] == pytest.approx(loss + 0.3 * np.abs(w).sum() + 0.3 * np.abs(b).sum(), rel=1e-12)
    np.testing.assert_allclose(after["line.weight"], w - 0.1 * (dw + 0.3 * np.sign(w)), rtol=1e-12)


def test_clipping_by_norm_scales_all_gradients_together() -> None:
    network = regression(clip={"norm": 0.01})
    w, b = start(network)
    dw, db, _ = gradient(w, b)
    norm = np.sqrt((dw**2).sum() + (db**2).sum())
    assert norm > 0.01
    _, after = steps(network, 1)
    scale = 0.01 / (norm + 1e-6)
    np.testing.assert_allclose(after["line.weight"], w - 0.1 * scale * dw, rtol=1e-12)
    np.testing.assert_allclose(after["line.bias"], b - 0.1 * scale * db, rtol=1e-12)


def test_clipping_by_norm_leaves_small_gradients_alone() -> None:
    assert steps(regression(clip={"norm": 1e6}), 3)[0] == steps(regression(), 3)[0]


def test_clipping_by_value_cuts_each_element() -> None:
    network = regression(clip={"value": 0.05})
    w, b = start(network)
    dw, _, _ = gradient(w, b)
    assert np.abs(dw).max() > 0.05
    _, after = steps(network, 1)
    np.testing.assert_allclose(after["line.weight"], w - 0.1 * np.clip(dw, -0.05, 0.05), rtol=1e-12)


def test_momentum_by_hand() -> None:
    network = regression(optimizer={"sgd": {"learning_rate": 0.1, "momentum": 0.9}})
    w, b = start(network)
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    for _ in range(4):
        dw, db, _ = gradient(w, b)
        vw, vb = 0.9 * vw + dw, 0.9 * vb + db
        w, b = w - 0.1 * vw, b - 0.1 * vb
    np.testing.assert_allclose(steps(network, 4)[1]["line.weight"], w, rtol=1e-10)


def test_adam_by_hand() -> None:
    network = regression(optimizer={"adam": {"learning_rate": 0.1}})
    w, b = start(network)
    state = [np.zeros_like(a) for a in (w, w, b, b)]
    for step in range(1, 5):
        dw, db, _ = gradient(w, b)
        m, v, mb, vb = state
        m, v = 0.9 * m + 0.1 * dw, 0.999 * v + 0.001 * dw**2
        mb, vb = 0.9 * mb + 0.1 * db, 0.999 * vb + 0.001 * db**2
        state = [m, v, mb, vb]
        c1, c2 = 1 - 0.9**step, 1 - 0.999**step
        w = w - 0.1 * (m / c1) / (np.sqrt(v / c2) + 1e-8)
        b = b - 0.1 * (mb / c1) / (np.sqrt(vb / c2) + 1e-8)
    np.testing.assert_allclose(steps(network, 4)[1]["line.weight"], w, rtol=1e-9)


def test_a_frozen_node_keeps_its_parameters_and_has_no_optimiser_state() -> None:
    network = flownet.load(
        {
            "inputs": {"x": "float32[N, 3]", "y": "float32[N, 1]"},
            "nodes": [
                {"dense": {"in": "x", "units": 4, "name": "below", "freeze": True}},
                {"dense": {"units": 1, "name": "line"}},
            ],
            "train": {
                "loss": {"squared_error": {"in": ["line", "y"]}},
                "optimizer": {"sgd": {"learning_rate": 0.1, "momentum": 0.9}},
            },
        },
        device="cpu",
        dtype="float64",
    )
    before = network.weights
    _, after = steps(network, 3)
    np.testing.assert_array_equal(after["below.weight"], before["below.weight"])
    assert not np.array_equal(after["line.weight"], before["line.weight"])
    assert not any("below" in name for name in after if name.startswith("optimizer/"))
    computed = [
        node.name for node in training_graph(network.document.train).nodes.values() if node.name.startswith("below'")
    ]
    assert computed == []


def test_a_graph_whose_parameters_are_all_frozen_has_nothing_to_train() -> None:
    network = flownet.load(
        {
            "inputs": {"x": "float32[N, 3]", "y": "float32[N, 1]"},
            "nodes": [{"dense": {"in": "x", "units": 1, "name": "line", "freeze": True}}],
            "train": {"loss": {"squared_error": {"in": ["line", "y"]}}, "optimizer": "sgd"},
        },
        device="cpu",
    )
    with pytest.raises(FlownetError, match="no trainable parameter"):
        training_graph(network.document.train)


def test_shared_parameters_get_the_sum_of_both_gradients() -> None:
    def graph(shared: bool) -> dict[str, Any]:
        second: dict[str, Any] = {"in": "first", "units": 3, "name": "second"}
        return {
            "inputs": {"x": "float32[N, 3]", "y": "float32[N, 3]"},
            "nodes": [
                {"dense": {"in": "x", "units": 3, "name": "first"}},
                {"dense": second | ({"share": "first"} if shared else {})},
            ],
            "train": {"loss": {"squared_error": {"in": ["second", "y"]}}, "optimizer": {"sgd": {"learning_rate": 0.1}}},
        }

    y = RNG.normal(size=(5, 3))
    shared, apart = (flownet.load(graph(s), device="cpu", dtype="float64") for s in (True, False))
    w, b = shared.weights["first.weight"], shared.weights["first.bias"]
    apart.bind({"first.weight": w, "second.weight": w, "first.bias": b, "second.bias": b})
    assert set(shared.weights) == {"first.weight", "first.bias"}

    def step(network: flownet.Network) -> dict[str, np.ndarray]:
        inputs = {"x": X, "y": y, LEARNING_RATE: np.float64(0.1), STEP: np.float64(1)}
        network.session.run(training_graph(network.document.train), inputs)
        return network.weights

    one, two = step(shared), step(apart)
    moved = (two["first.weight"] - w) + (two["second.weight"] - w)
    np.testing.assert_allclose(one["first.weight"], w + moved, rtol=1e-12)


def test_the_evaluation_graph_updates_nothing() -> None:
    network = regression(metrics=[])
    graph = evaluation_graph(network.document.train)
    assert graph.updates == {}
    assert list(graph.outputs) == ["loss"]
    before = network.session.read()
    network.session.run(graph, {"x": X, "y": Y})
    for name, array in network.session.read().items():
        np.testing.assert_array_equal(array, before[name])


def test_two_losses_are_added_with_their_weights() -> None:
    network = regression(
        loss=[{"squared_error": {"in": ["line", "y"]}}, {"squared_error": {"in": ["line", "y"], "weight": 0.5}}]
    )
    assert steps(network, 1)[0][0] == pytest.approx(1.5 * steps(regression(), 1)[0][0], rel=1e-12)


def test_one_plan_holds_forward_backward_and_update() -> None:
    network = regression()
    graph = training_graph(network.document.train)
    plan = Session(CPU()).plan(graph, {"N": 5})
    nodes = {node for step in plan.program.steps for node in step.nodes}
    assert any(name.startswith("line") for name in nodes)
    assert any("'" in name for name in nodes)
    assert any(name.startswith("optimizer/") for name in nodes)


def test_the_nodes_of_a_step_know_where_they_stand_in_the_file(tmp_path: Path) -> None:
    """An update comes from the optimiser's line, and is for a parameter of another; a profile shows both."""
    (tmp_path / "net.yaml").write_text(
        "inputs: {x: 'float32[N, 3]', y: 'float32[N, 1]'}\n"
        "nodes:\n"
        "  - dense: {in: x, units: 4}\n"
        "  - dense: {in: dense_1, units: 1, name: line}\n"
        "train:\n"
        "  loss: {squared_error: {in: [line, y]}}\n"
        "  optimizer: {sgd: {learning_rate: 0.1}}\n"
        "  clip: {norm: 1}\n"
        "  regularise: {l2: 0.1}\n"
    )
    graph = training_graph(flownet.load(tmp_path / "net.yaml", device="cpu").document.train)
    lines = {name: [span.line for span in node.origin.spans] for name, node in graph.nodes.items()}
    assert all(lines.values()), [name for name, spans in lines.items() if not spans]
    assert lines["optimizer/dense_1.weight"] == lines["optimizer/dense_1.bias"] == [7, 3]
    assert lines["optimizer/line.weight"] == [7, 4]
    assert lines["clip_norm/line.bias"] == [8]
    assert [9] in lines.values()
