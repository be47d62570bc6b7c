"""A run and its folder: what it leaves, what it tells, how it ends when something goes wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.errors import DiagnosticWarning, FlownetError, MachineError
from flownet.registry import Registry
from flownet.training.checkpoint import read_tensors
from flownet.training.run import new_folder
from tests.training.small import graph_of, network


def test_a_run_leaves_all_its_files(tmp_path: Path) -> None:
    result = flownet.train(network(), folder=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors", "graph.yaml", "learning_curve.png", "log.jsonl", "weights.safetensors",
    ]  # fmt: skip
    assert result.weights == tmp_path / "run" / "weights.safetensors"
    assert result.epochs == 3
    assert set(result.metrics) == {"validation", "test"}
    assert (tmp_path / "run" / "learning_curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_log_has_a_line_a_step_and_a_line_an_epoch(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 37))
    assert [r["epoch"] for r in records if r["kind"] == "epoch"] == [0, 1, 2]
    assert all(set(r) >= {"loss", "metrics", "learning_rate", "examples_per_s", "time"} for r in records)


def test_the_weights_that_were_saved_are_those_of_the_network(tmp_path: Path) -> None:
    net = network()
    result = flownet.train(net, folder=tmp_path)
    saved = read_tensors(result.weights)
    assert set(saved.tensors) == {"dense_1.weight", "dense_1.bias", "logits.weight", "logits.bias"}
    for name, array in net.weights.items():
        np.testing.assert_array_equal(saved.tensors[name], array)
    assert saved.metadata["metrics"]["test"]["accuracy"] == result.metrics["test"]["accuracy"]
    assert saved.metadata["plugins"].keys() <= {"flownet"}


def test_the_kept_graph_file_is_the_graph_that_was_trained(tmp_path: Path) -> None:
    net = network()
    result = flownet.train(net, folder=tmp_path)
    again = flownet.load(tmp_path / "graph.yaml", device="cpu", weights=result.weights)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(again.run(x=x)["probabilities"], net.run(x=x)["probabilities"])


def test_a_checkpoint_holds_the_optimiser_and_the_random_numbers(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path)
    saved = read_tensors(tmp_path / "checkpoint.safetensors")
    assert any(name.startswith("optimizer/") for name in saved.tensors)
    assert "rng" in saved.tensors
    assert saved.metadata["position"]["epoch"] == 3


def test_folders_are_counted_up() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        for expected in ("net", "net-2", "net-3"):
            folder = new_folder(parent, "net")
            assert folder.name == expected
            folder.mkdir()


def test_plugins_are_told_what_happens(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []

    class Listener:
        @flownet.hookimpl
        def flownet_train_start(self, run: Any) -> None:
            told.append(("start", run.folder))

        @flownet.hookimpl
        def flownet_train_step(self, record: Any) -> None:
            told.append(("step", record["step"]))

        @flownet.hookimpl
        def flownet_train_epoch(self, record: Any) -> None:
            told.append(("epoch", record["epoch"]))

        @flownet.hookimpl
        def flownet_train_end(self, result: Any) -> None:
            told.append(("end", result["stopped"]))

    registry = Registry(entry_points=False)
    registry.register(Listener(), "listener")
    net = flownet.load(graph_of(epochs=1), device="cpu", registry=registry)
    flownet.train(net, folder=tmp_path)
    assert told[0] == ("start", tmp_path)
    assert told[1:13] == [("step", n) for n in range(1, 13)]
    assert told[13:] == [("epoch", 0), ("end", "")]


def test_plugins_are_told_of_a_failure_too(tmp_path: Path) -> None:
    told: list[str] = []

    class Listener:
        @flownet.hookimpl
        def flownet_train_end(self, result: Any) -> None:
            told.append(result["stopped"])

    registry = Registry(entry_points=False)
    registry.register(Listener(), "listener")
    net = flownet.load(graph_of(optimizer={"sgd": {"learning_rate": 3e38}}, epochs=20), device="cpu", registry=registry)
    with pytest.raises(FlownetError):
        flownet.train(net, folder=tmp_path)
    assert told == ["error"]


def test_a_run_that_diverges_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    net = network(optimizer={"sgd": {"learning_rate": 3e38}}, epochs=20)
    with pytest.raises(FlownetError) as error:
        flownet.train(net, folder=tmp_path, checkpoint_every=1)
    path = tmp_path / "checkpoint.safetensors"
    saved = read_tensors(path)
    step = saved.metadata["position"]["step"]
    assert step >= 1
    assert all(np.isfinite(array).all() for array in saved.tensors.values())
    assert error.value.diagnostics[0].notes[-1] == f"`{path}` holds all as it was after step {step}"
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == step


def test_a_run_that_diverges_before_its_first_checkpoint_promises_none(tmp_path: Path) -> None:
    net = network(optimizer={"sgd": {"learning_rate": 3e38}}, epochs=20)
    with pytest.raises(FlownetError, match="no checkpoint had been written yet"):
        flownet.train(net, folder=tmp_path, checkpoint_every=0)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_weights_that_are_not_finite_do_not_replace_a_good_checkpoint(tmp_path: Path) -> None:
    net = network(epochs=2)
    steps = []

    def spoil(progress: Any) -> None:
        steps.append(progress.step)
        if len(steps) == 3:
            net.bind({**net.weights, "logits.bias": np.full(3, np.inf, np.float32)})

    with pytest.raises(FlownetError, match="not-finite"):
        flownet.train(net, folder=tmp_path, checkpoint_every=1, callback=spoil)
    saved = read_tensors(tmp_path / "checkpoint.safetensors")
    assert saved.metadata["position"]["step"] == steps[1]
    assert np.isfinite(saved.tensors["logits.bias"]).all()


SGD = {"learning_rate": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"batch": 16}, "`batch` was 8, is 16"),
        ({"seed": 1}, "`seed` was 0, is 1"),
        ({"data": {"dataset": "iris", "validation": 24}}, "the data, or how they are prepared, are others"),
        ({"metrics": []}, "the network, its loss or its metrics are others"),
        ({"optimizer": {"sgd": {**SGD, "momentum": 0}}}, "`sgd` as it is set now keeps other numbers"),
        ({"optimizer": "adam"}, "`adam` as it is set now keeps other numbers"),
    ],
    ids=["batch", "seed", "data", "metrics", "momentum", "optimiser"],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, change: dict, why: str) -> None:
    flownet.train(network(), folder=tmp_path)
    with pytest.raises(FlownetError) as error:
        flownet.train(network(**change), folder=tmp_path, resume=True)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "other-graph"
    assert [note.startswith(why) for note in diagnostic.notes] == [True]
    assert "`optimizer`, `schedule`, `epochs`, `clip`, `regularise` and `early_stopping` may change" in diagnostic.help


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path)
    for changed in ({"dense": {"units": 17}}, {"dense": {"units": 16, "freeze": True}}):
        graph = graph_of()
        graph["nodes"][0] = changed
        with pytest.raises(FlownetError, match="the network, its loss or its metrics are others"):
            flownet.train(flownet.load(graph, device="cpu"), folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        ({"epochs": 5}, ["`train.epochs` was `3`, is `5`"]),
        (
            {"optimizer": {"sgd": {"learning_rate": 0.01, "momentum": 0.8}}},
            [
                "`train.optimizer.sgd.learning_rate` was `0.1`, is `0.01`",
                "`train.optimizer.sgd.momentum` was `0.9`, is `0.8`",
            ],
        ),
        ({"clip": {"norm": 1}}, ["`train.clip.norm` was not there, is `1.0`"]),
        ({"regularise": {"l2": 0.1}}, ["`train.regularise.l2` was not there, is `0.1`"]),
        ({"schedule": "cosine"}, ["`train.schedule.cosine.end` was not there, is `0.0`"]),
    ],
    ids=["epochs", "optimiser", "clip", "regularise", "schedule"],
)
def test_how_steps_are_taken_may_change_and_is_told(tmp_path: Path, change: dict, notes: list[str]) -> None:
    flownet.train(network(), folder=tmp_path, callback=lambda progress: progress.step < 20)
    with pytest.warns(DiagnosticWarning) as told:
        flownet.train(network(**change), folder=tmp_path, resume=True)
    (warning,) = told
    assert warning.message.diagnostic.code == "resumed-otherwise"  # type: ignore[union-attr]
    assert list(warning.message.diagnostic.notes) == notes  # type: ignore[union-attr]
    # from then on the run is the one with the new settings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flownet.train(network(**change), folder=tmp_path, resume=True)


@pytest.mark.parametrize("stop_at", [30, 24 + 1])  # of 12 steps an epoch
def test_a_run_that_is_past_the_end_it_is_given_is_refused(tmp_path: Path, stop_at: int) -> None:
    flownet.train(network(), folder=tmp_path, callback=lambda progress: progress.step < stop_at)
    before = (tmp_path / "graph.yaml").read_bytes()
    with pytest.raises(FlownetError, match="is in its epoch 3, and was to end after 2"):
        flownet.train(network(epochs=2), folder=tmp_path, resume=True)
    assert (tmp_path / "graph.yaml").read_bytes() == before


def test_a_lower_rate_counts_from_the_step_on_where_a_run_is_resumed(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path, callback=lambda progress: progress.step < 20)
    before = read_tensors(tmp_path / "checkpoint.safetensors").tensors["logits.weight"]
    slow = network(optimizer={"sgd": {"learning_rate": 1e-30, "momentum": 0.9}})
    with pytest.warns(DiagnosticWarning):
        flownet.train(slow, folder=tmp_path, resume=True)
    np.testing.assert_array_equal(slow.weights["logits.weight"], before)


def test_a_checkpoint_without_settings_is_refused(tmp_path: Path) -> None:
    result = flownet.train(network(), folder=tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(result.weights.read_bytes())
    with pytest.raises(FlownetError, match="no checkpoint, or one of another version"):
        flownet.train(network(), folder=tmp_path, resume=True)


def test_resuming_where_nothing_was_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlownetError) as error:
        flownet.train(network(), folder=tmp_path, resume=True)
    assert error.value.diagnostics[0].code == "no-checkpoint"


def test_a_checkpoint_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FlownetError) as error:
        flownet.train(network(), folder=tmp_path, resume=True)
    assert error.value.diagnostics[0].code == "bad-weights"


def test_a_graph_without_training_or_without_data_says_so(tmp_path: Path) -> None:
    graph = graph_of()
    section = graph.pop("train")
    with pytest.raises(FlownetError) as error:
        flownet.train(flownet.load(graph, device="cpu"), folder=tmp_path)
    assert error.value.diagnostics[0].code == "no-train-section"
    del section["data"]
    graph["inputs"]["label"] = "int32[N]"
    graph["nodes"][0]["dense"]["in"] = "x"
    net = flownet.load({**graph, "train": section}, device="cpu")
    with pytest.raises(FlownetError) as error:
        flownet.train(net, folder=tmp_path)
    assert error.value.diagnostics[0].code == "no-data"


# -- disks -------------------------------------------------------------------------------------------------------------

_FULL = """
import resource, signal, sys
import flownet
from tests.training.small import network
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(progress):
    if progress.step == 20:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    flownet.train(network(), folder=sys.argv[1], checkpoint_every=5, callback=limit)
except flownet.FlownetError as error:
    print(error)
    sys.exit(error.exit_status)
"""


def test_a_full_disk_ends_the_run_with_the_reason_and_the_last_checkpoint_whole(tmp_path: Path) -> None:
    # a limit on file sizes from step 20 on: log and checkpoint cannot grow, as on a full disk
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _FULL, tmp_path / "run"], cwd=root, capture_output=True, text=True)
    assert done.returncode == MachineError.exit_status, done.stderr
    assert "cannot be written: File too large" in done.stdout
    position = read_tensors(tmp_path / "run" / "checkpoint.safetensors").metadata["position"]
    assert position["step"] == 15  # the callback of step 20 came before its checkpoint
    # and once there is room again, the run goes on from there to the same end
    resumed, whole = network(), network()
    flownet.train(resumed, folder=tmp_path / "run", resume=True)
    flownet.train(whole, folder=tmp_path / "whole")
    assert _hash(resumed) == _hash(whole)


def test_a_folder_that_cannot_be_made_is_the_machine_s_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot be made"):
        flownet.train(network(), folder=tmp_path / "file" / "run")


def _hash(net: flownet.Network) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(net.weights.items()))).hexdigest()
