"""The loop: what it yields, early stopping, schedules, and the loss that is not finite."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.data import ArraySplit, Field
from flownet.errors import FlownetError
from flownet.training.trainer import Progress, Trainer
from flownet.types import DType
from tests.training.small import network


def trainer_of(net: flownet.Network, splits: Any = None) -> Trainer:
    section = net.document.train
    return Trainer(net.session, section, splits or section.data.open(None))


def test_every_step_and_every_epoch_is_told_once() -> None:
    trainer = trainer_of(network())
    told = list(trainer.run())
    steps, epochs = ([p for p in told if p.kind == kind] for kind in ("step", "epoch"))
    assert [p.step for p in steps] == list(range(1, 37))  # 96 examples in batches of 8, three times
    assert [p.epoch for p in epochs] == [0, 1, 2]
    assert [told.index(p) for p in epochs] == [12, 25, 38]
    assert all(p.validation is not None for p in epochs)
    assert all(p.steps == 36 for p in told)


def test_an_epoch_s_loss_is_the_mean_of_its_steps() -> None:
    told = list(trainer_of(network(epochs=1)).run())
    assert told[-1].loss == pytest.approx(np.mean([p.loss for p in told[:-1]]), rel=1e-12)
    assert told[-1].metrics["accuracy"] == pytest.approx(np.mean([p.metrics["accuracy"] for p in told[:-1]]), rel=1e-12)


def test_inference_of_another_thread_runs_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step and the fetching of its loss are not parted by another run on the device, which could be waited for in its place."""
    net = network(epochs=2)
    trainer = trainer_of(net)
    program_of = {"training": trainer.session.plan(trainer.graph, {"N": 8}).program, "inference": net.plan(N=3).program}
    log: list[str] = []
    for name, program in program_of.items():

        def run(name: str = name, once: Any = program.run) -> None:
            log.append(f"{name} runs")
            once()
            time.sleep(0.001)  # the other's turn

        def fetch(output: str, name: str = name, once: Any = program.fetch) -> np.ndarray:
            log.append(f"{name} is fetched")
            return once(output)

        monkeypatch.setattr(program, "run", run)
        monkeypatch.setattr(program, "fetch", fetch)
    stop = threading.Event()

    def infer() -> None:
        while not stop.is_set():
            net.run(x=np.zeros((3, 4), np.float32))

    other = threading.Thread(target=infer)
    other.start()
    steps = [p for p in trainer.run() if p.kind == "step"]
    stop.set()
    other.join()
    assert len(steps) == log.count("training runs") == 24
    runs = [at for at, what in enumerate(log) if what == "training runs"]
    assert all(log[at + 1 : at + 3] == ["training is fetched"] * 2 for at in runs)  # loss and accuracy
    assert "inference runs" in log[runs[0] : runs[-1]]


def test_training_learns() -> None:
    told = [p for p in trainer_of(network(epochs=15)).run() if p.kind == "epoch"]
    assert told[-1].loss < 0.5 * told[0].loss
    assert told[-1].validation is not None
    assert told[-1].validation.metrics["accuracy"] >= 0.85


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    def weights(seed: int) -> dict[str, np.ndarray]:
        net = network(seed=seed)
        list(trainer_of(net).run())
        return net.weights

    one, again, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["logits.weight"], other["logits.weight"])


def test_evaluation_uses_each_example_once_and_no_dropout() -> None:
    net = network()
    splits = net.document.train.data.open(None)
    found = trainer_of(net, splits).evaluate("test")
    data = splits["test"].take(np.arange(len(splits["test"])))
    logits = net.run(x=data["x"], fetch=["logits"])["logits"].astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert found.loss == pytest.approx(-log_p[np.arange(30), data["label"]].mean(), rel=1e-6)
    assert found.metrics["accuracy"] == pytest.approx((logits.argmax(axis=1) == data["label"]).mean())


def test_no_two_snapshots_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(network(batch=1, epochs=1))
    read, held = trainer.session.read, []

    def noted() -> dict[str, np.ndarray]:
        held.append(trainer._snapshot)
        return read()

    monkeypatch.setattr(trainer.session, "read", noted)
    list(trainer.run())
    assert held == [None, None]  # 96 steps, a snapshot every 50


def test_stop_ends_behind_the_running_step() -> None:
    trainer = trainer_of(network())
    seen = []
    for progress in trainer.run():
        seen.append(progress)
        if progress.step == 5:
            trainer.stop()
    assert len(seen) == 5
    assert trainer.stopped == "interrupted"
    assert trainer.position.step == 5


def test_early_stopping_waits_for_its_patience() -> None:
    # a learning rate of zero: the loss on the validation split never gets better
    net = network(optimizer={"sgd": {"learning_rate": 1e-30}}, epochs=10, early_stopping={"patience": 2})
    trainer = trainer_of(net)
    epochs = [p for p in trainer.run() if p.kind == "epoch"]
    assert len(epochs) == 3  # the first is the best, two more are no better
    assert trainer.stopped == "early stopping"


def test_early_stopping_goes_on_while_it_gets_better() -> None:
    trainer = trainer_of(network(epochs=4, batch=96, early_stopping={"patience": 1}))
    losses = [p.validation.loss for p in trainer.run() if p.kind == "epoch" and p.validation]
    assert losses == sorted(losses, reverse=True)  # whole batches, few of them: it gets better all the time
    assert len(losses) == 4
    assert trainer.stopped == ""


@pytest.mark.parametrize("schedule", ["cosine", {"step": {"every": 1, "gamma": 0.5}}])
def test_the_schedule_sets_the_rate_of_every_step(schedule: Any) -> None:
    net = network(schedule=schedule)
    rates = [p.learning_rate for p in trainer_of(net).run() if p.kind == "step"]
    if schedule == "cosine":
        expected = 0.05 * (1 + np.cos(np.pi * np.arange(36) / 36))
    else:
        expected = 0.1 * 0.5 ** (np.arange(36) // 12)
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


# -- a loss that is not finite -----------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_the_first_node_and_the_step() -> None:
    net = flownet.load(
        {
            "inputs": {"x": "float32[N, 4]"},
            "nodes": [
                {"dense": {"units": 8, "name": "fine"}},
                {"log": {"name": "culprit"}},  # of negative numbers
                {"dense": {"units": 3, "name": "logits"}},
            ],
            "train": {
                "data": {"dataset": "iris", "standardise": "per_channel"},
                "loss": {"cross_entropy": {"in": ["logits", "label"]}},
                "optimizer": "sgd",
                "batch": 8,
            },
        },
        device="cpu",
    )
    with pytest.raises(FlownetError) as error:
        list(trainer_of(net).run())
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "not-finite"
    assert "at step 1 (epoch 1)" in diagnostic.message
    assert any("`culprit`" in note for note in diagnostic.notes)
    assert diagnostic.span is not None
    assert "log" in diagnostic.span.file.line(diagnostic.span.line)


def test_a_run_that_diverges_later_names_the_step_that_did() -> None:
    net = network(optimizer={"sgd": {"learning_rate": 3e38}}, clip=None, epochs=20)
    trainer = trainer_of(net)
    told = trainer.run()
    with pytest.raises(FlownetError) as error:
        list(told)
    assert trainer.position.step >= 1
    assert f"at step {trainer.position.step + 1} " in error.value.diagnostics[0].message


def test_a_loss_that_is_not_finite_far_behind_a_snapshot_is_replayed_exactly() -> None:
    # the 64th batch of the data holds the only bad example: found at its step, not at the snapshot's
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 4)).astype(np.float32)
    label = rng.integers(0, 3, 96).astype(np.int32)
    fields = {"x": Field(DType.float32, (4,)), "label": Field(DType.int32, (), "label", ("a", "b", "c"))}
    split = ArraySplit({"x": x, "label": label}, fields)
    net = network(batch=1, epochs=1, data={"dataset": "iris"})
    trainer = trainer_of(net, {"train": split})
    bad = int(trainer.batches.order(0)[63])
    split._arrays["x"] = x.copy()
    split._arrays["x"][bad, 2] = np.nan
    with pytest.raises(FlownetError) as error:
        list(trainer.run())
    (diagnostic,) = error.value.diagnostics
    assert "at step 64 (epoch 1)" in diagnostic.message
    assert "the data themselves hold NaN or infinity in this batch" in diagnostic.notes


def test_a_batch_larger_than_the_data_is_refused_before_training() -> None:
    with pytest.raises(FlownetError) as error:
        trainer_of(network(batch=1000))
    assert error.value.diagnostics[0].code == "batch-too-large"


def test_a_callback_that_returns_false_ends_training(tmp_path: Path) -> None:
    seen: list[Progress] = []

    def callback(progress: Progress) -> bool:
        seen.append(progress)
        return progress.step < 7

    result = flownet.train(network(), folder=tmp_path, callback=callback)
    assert seen[-1].step == 7
    assert result.stopped == "interrupted"
