"""A run that is interrupted or killed, and resumed, ends with the same bits as one that was not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import flownet
from flownet.training.checkpoint import read_tensors
from tests.training.small import network

ROOT = Path(__file__).parents[2]

OPTIMIZERS = {
    "momentum": {"sgd": {"learning_rate": 0.1, "momentum": 0.9}},
    "adam": {"adam": {"learning_rate": 0.01}},
}


def weights_hash(path: Path) -> str:
    tensors = read_tensors(path).tensors
    return hashlib.sha256(
        b"".join(name.encode() + array.tobytes() for name, array in sorted(tensors.items()))
    ).hexdigest()


def log_of(folder: Path) -> list[dict]:
    """The log without what depends on the clock."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in ("time", "examples_per_s")} for record in records]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stop_at", [1, 7, 12, 13, 35])
def test_stopped_at_any_step_and_resumed(tmp_path: Path, optimizer: str, stop_at: int) -> None:
    # dropout, shuffling, momentum and a schedule: everything that has a state; 12 steps an epoch
    settings = {"optimizer": OPTIMIZERS[optimizer], "schedule": "cosine"}
    flownet.train(network(**settings), folder=tmp_path / "whole")
    flownet.train(network(**settings), folder=tmp_path / "cut", callback=lambda progress: progress.step < stop_at)
    resumed = flownet.train(network(**settings), folder=tmp_path / "cut", resume=True)
    assert resumed.stopped == ""
    assert weights_hash(tmp_path / "cut" / "weights.safetensors") == weights_hash(
        tmp_path / "whole" / "weights.safetensors"
    )
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")


def test_stopped_again_and_again(tmp_path: Path) -> None:
    flownet.train(network(), folder=tmp_path / "whole")
    flownet.train(network(), folder=tmp_path / "cut", callback=lambda progress: False)
    for _ in range(50):
        count = iter(range(4))
        result = flownet.train(
            network(), folder=tmp_path / "cut", resume=True, callback=lambda progress, c=count: next(c) < 3
        )
        if not result.stopped:
            break
    assert not result.stopped
    assert weights_hash(tmp_path / "cut" / "weights.safetensors") == weights_hash(
        tmp_path / "whole" / "weights.safetensors"
    )
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")


def test_early_stopping_is_remembered(tmp_path: Path) -> None:
    settings = {"optimizer": {"sgd": {"learning_rate": 1e-30}}, "epochs": 9, "early_stopping": {"patience": 3}}
    whole = flownet.train(network(**settings), folder=tmp_path / "whole")
    flownet.train(network(**settings), folder=tmp_path / "cut", callback=lambda progress: progress.step < 30)
    resumed = flownet.train(network(**settings), folder=tmp_path / "cut", resume=True)
    assert resumed.stopped == whole.stopped == "early stopping"
    assert resumed.epochs == whole.epochs == 4


def test_a_run_that_is_done_is_resumed_to_the_same_result(tmp_path: Path) -> None:
    first = flownet.train(network(), folder=tmp_path)
    before = weights_hash(first.weights)
    again = flownet.train(network(), folder=tmp_path, resume=True)
    assert weights_hash(again.weights) == before
    assert again.metrics == first.metrics


# -- real processes, real signals --------------------------------------------------------------------------------------

_TRAIN = """
import sys, time
import flownet
from tests.training.small import network
def slowly(progress):
    time.sleep(0.005)
net = network(epochs=4)
flownet.train(net, folder=sys.argv[1], resume=sys.argv[2] == "resume", checkpoint_every=1, callback=slowly)
"""


def start(folder: Path, how: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", _TRAIN, folder, how], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for_steps(folder: Path, process: subprocess.Popen, steps: int) -> None:
    log = folder / "log.jsonl"
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        if (
            log.exists()
            and log.read_text().count('"kind": "step"') >= steps
            and (folder / "checkpoint.safetensors").exists()
        ):
            return
        time.sleep(0.002)


def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    flownet.train(network(epochs=4), folder=tmp_path / "whole")
    folder, chance = tmp_path / "killed", random.Random(os.environ.get("PYTEST_SEED", "0"))
    kills = 0
    for attempt in range(6):
        process = start(folder, "resume" if attempt else "new")
        done = len(log_of(folder)) if attempt else 0
        wait_for_steps(folder, process, done + chance.randint(1, 10))
        time.sleep(chance.random() * 0.02)  # also in the middle of a write
        process.kill()
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        kills += 1
        read_tensors(folder / "checkpoint.safetensors")  # whole, whenever the kill came
    assert kills >= 3
    process = start(folder, "resume")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert weights_hash(folder / "weights.safetensors") == weights_hash(tmp_path / "whole" / "weights.safetensors")
    assert log_of(folder) == log_of(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    flownet.train(network(epochs=4), folder=tmp_path / "whole")
    process = start(tmp_path / "cut", "new")
    wait_for_steps(tmp_path / "cut", process, 6)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    position = read_tensors(tmp_path / "cut" / "checkpoint.safetensors").metadata["position"]
    assert 6 <= position["step"] < 48
    flownet.train(network(epochs=4), folder=tmp_path / "cut", resume=True)
    assert weights_hash(tmp_path / "cut" / "weights.safetensors") == weights_hash(
        tmp_path / "whole" / "weights.safetensors"
    )


def test_float64_resumes_too(tmp_path: Path) -> None:
    from tests.training.small import graph_of

    def net() -> flownet.Network:
        return flownet.load(graph_of(epochs=1), device="cpu", dtype="float64")

    whole, cut = net(), net()
    flownet.train(whole, folder=tmp_path / "whole")
    flownet.train(cut, folder=tmp_path / "cut", callback=lambda progress: progress.step < 5)
    resumed = net()
    flownet.train(resumed, folder=tmp_path / "cut", resume=True)
    for name, array in whole.weights.items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, resumed.weights[name])
