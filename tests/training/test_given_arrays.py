"""Arrays from Python in place of the data that a `train` section names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.errors import FlownetError
from tests.training.small import graph_of, network

PLAIN: dict[str, Any] = {"dataset": "iris"}


def iris(split: str = "train") -> dict[str, np.ndarray]:
    there = network(data=PLAIN).document.train.data.open()[split]  # type: ignore[union-attr]
    batch = there.take(np.arange(len(there)))
    return {"x": batch["x"], "label": batch["label"]}


def without_data() -> flownet.Network:
    graph = graph_of()
    del graph["train"]["data"]
    return flownet.load(graph, device="cpu")


def test_arrays_train_to_the_same_bits_as_the_dataset_that_they_were_taken_from(tmp_path: Path) -> None:
    by_name, given = network(data=PLAIN), without_data()
    flownet.train(by_name, folder=tmp_path / "a")
    result = flownet.train(given, folder=tmp_path / "b", data={"train": iris(), "test": iris("test")})
    for name, array in by_name.weights.items():
        np.testing.assert_array_equal(given.weights[name], array)
    assert result.metrics["test"]["accuracy"] == flownet.evaluate(by_name)["test"].metrics["accuracy"]


def test_arrays_alone_are_the_train_split_and_the_test_split_of_an_evaluation(tmp_path: Path) -> None:
    net = without_data()
    assert flownet.train(net, folder=tmp_path, data=iris()).metrics == {}
    test = iris("test")
    predicted = net.run(x=test["x"])["probabilities"].argmax(axis=1)
    found = flownet.evaluate(net, data=test)
    assert found["test"].metrics["accuracy"] == pytest.approx(np.mean(predicted == test["label"]))


def test_the_arrays_stand_for_all_of_the_data_section(tmp_path: Path) -> None:
    named, given = network(), without_data()  # the first standardises, and holds examples out
    flownet.train(named, folder=tmp_path / "a", data=iris())
    flownet.train(given, folder=tmp_path / "b", data=iris())
    np.testing.assert_array_equal(named.weights["logits.weight"], given.weights["logits.weight"])
    assert "data:" not in (tmp_path / "a" / "graph.yaml").read_text()


def test_lists_and_other_element_types_are_taken_where_no_value_changes(tmp_path: Path) -> None:
    exact, lists = without_data(), without_data()
    flownet.train(exact, folder=tmp_path / "a", data=iris())
    data = iris()
    flownet.train(lists, folder=tmp_path / "b", data={"x": data["x"].tolist(), "label": data["label"].astype(float)})
    np.testing.assert_array_equal(exact.weights["logits.weight"], lists.weights["logits.weight"])


def test_double_precision_keeps_the_digits_of_the_arrays(tmp_path: Path) -> None:
    net = flownet.load(graph_of(epochs=1), device="cpu", dtype="float64")
    x = np.full((8, 4), 1e-9) + 1
    flownet.train(net, folder=tmp_path, data={"x": x, "label": np.zeros(8, int)})
    assert net.weights["logits.weight"].dtype == np.float64


def test_a_run_is_resumed_with_the_same_arrays_only(tmp_path: Path) -> None:
    whole, halves = without_data(), without_data()
    flownet.train(whole, folder=tmp_path / "whole", data=iris())
    flownet.train(halves, folder=tmp_path / "halves", data=iris(), callback=lambda progress: progress.step < 20)
    others = {**iris(), "x": iris()["x"][::-1]}
    with pytest.raises(FlownetError, match="other-graph"):
        flownet.train(without_data(), folder=tmp_path / "halves", data=others, resume=True)
    again = without_data()
    flownet.train(again, folder=tmp_path / "halves", data=iris(), resume=True)
    np.testing.assert_array_equal(again.weights["logits.weight"], whole.weights["logits.weight"])


X, Y = np.zeros((20, 4), np.float32), np.zeros(20, np.int32)
NAN = np.where(np.arange(80).reshape(20, 4) == 9, np.nan, 0)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ({"x": X}, "missing-input", "`label` is not fed"),
        ({"x": X, "labels": Y}, "unknown-input", "did you mean `label`"),
        ({"x": X, "label": Y[:-1]}, "data-count", "20 of `x`, 19 of `label`"),
        ({"x": X, "label": Y[:3]}, "data-count", "20 of `x`, 3 of `label`"),
        ({"x": X[:, :3], "label": Y}, "input-mismatch", r"`x` is float32\[N, 4\], got float32\[8, 3\]"),
        ({"x": X, "label": Y + 0.5}, "input-mismatch", "are no int32"),
        ({"x": X, "label": ["setosa"] * 20}, "input-mismatch", "got an array of"),
        ({"x": X, "label": 3}, "input-mismatch", "`label` is one number"),
        ({"x": NAN, "label": Y}, "data-nan", r"holds nan: example 2 at \[1\]"),
        ({"x": X[:0], "label": Y[:0]}, "data-empty", "the split `train` holds no examples"),
        ({"x": X, "label": Y + 3}, "label-range", "got the label 3, but the scores are of 3 classes"),
        ({}, "input-mismatch", "name arrays for `x`, `label`"),
        (X, "input-mismatch", "got `ndarray`"),
        ({"train": {"x": X, "label": Y}, "tset": {"x": X, "label": Y}}, "unknown-split", "did you mean `test`"),
        ({"train": {"x": X, "label": Y}, "test": {"x": X}}, "missing-input", "in a batch of the split `test`"),
        ({"test": {"x": X, "label": Y}}, "unknown-split", "no split `train`"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_named(tmp_path: Path, data: Any, code: str, words: str) -> None:
    with pytest.raises(FlownetError, match=words) as error:
        flownet.train(network(), folder=tmp_path / "run", data=data)
    assert error.value.diagnostics[0].code == code


def test_a_graph_that_does_not_say_how_to_train_is_named() -> None:
    graph = graph_of()
    del graph["train"]
    with pytest.raises(FlownetError, match="no-train-section"):
        flownet.train(flownet.load(graph, device="cpu"), data={"x": X, "label": Y})
