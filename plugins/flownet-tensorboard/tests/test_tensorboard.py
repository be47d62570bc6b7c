"""The events of a real run, read back without this package."""

from __future__ import annotations

import json
from pathlib import Path

import flownet_tensorboard
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

import flownet
from flownet.network import load, train
from flownet.registry import Registry

GRAPH = {
    "flownet": 1,
    "inputs": {"x": "float32[N, 4]"},
    "nodes": [{"dense": {"units": 3, "name": "scores"}}],
    "train": {
        "data": {"dataset": "iris", "validation": 30},
        "loss": {"cross_entropy": {"in": ["scores", "label"]}},
        "optimizer": {"sgd": {"learning_rate": 0.1}},
        "batch": 30,
        "epochs": 2,
    },
}


def events(folder: Path) -> dict[str, dict[int, float]]:
    """tag -> step -> value, from the files' records: length (8 bytes), its checksum (4), data, its checksum (4)."""
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.fixture
def registry() -> Registry:
    made = Registry(entry_points=False)
    made.register(flownet_tensorboard, "flownet-tensorboard")
    return made


def test_the_events_are_what_the_log_says(registry: Registry, tmp_path: Path) -> None:
    net = load(GRAPH, device="cpu", registry=registry)
    train(net, folder=tmp_path / "run")
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = {record["step"]: record["loss"] for record in logged if record["kind"] == "step"}
    epochs = {record["step"]: record for record in logged if record["kind"] == "epoch"}
    written = events(tmp_path / "run" / "tensorboard")
    assert len(steps) == 6  # 90 examples in batches of 30, twice
    assert written["step/loss"] == pytest.approx(steps)
    assert written["epoch/loss"] == pytest.approx({step: record["loss"] for step, record in epochs.items()})
    assert written["validation/loss"] == pytest.approx({s: r["validation"]["loss"] for s, r in epochs.items()})
    assert written["step/learning_rate"] == pytest.approx(dict.fromkeys(steps, 0.1))
    assert set(written["weights/scores.weight"]) == set(epochs)
    assert "graph/text_summary" in written
    assert "final/test/loss" in written


def test_it_can_be_switched_off(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWNET_TENSORBOARD", "off")
    train(load(GRAPH, device="cpu", registry=registry), folder=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_without_histograms(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWNET_TENSORBOARD_HISTOGRAMS", "off")
    train(load(GRAPH, device="cpu", registry=registry), folder=tmp_path / "run", epochs=1)
    tags = events(tmp_path / "run" / "tensorboard")
    assert not [tag for tag in tags if tag.startswith("weights/")]
    assert tags["step/loss"]


def test_a_run_that_fails_leaves_a_whole_file(registry: Registry, tmp_path: Path) -> None:
    def fails(progress: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(load(GRAPH, device="cpu", registry=registry), folder=tmp_path / "run", callback=fails)
    assert list(events(tmp_path / "run" / "tensorboard")["step/loss"]) == [1]
    assert not flownet_tensorboard._writers


def test_infinite_weights_do_not_end_the_log(registry: Registry, tmp_path: Path) -> None:
    net = load(GRAPH, device="cpu", registry=registry)
    net.session.write({"scores.bias": np.full(3, np.inf, np.float32)})
    with pytest.raises(flownet.FlownetError, match="not-finite"):
        train(net, folder=tmp_path / "run")
    assert registry.plugins["flownet-tensorboard"].problem is None
