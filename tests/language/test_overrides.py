"""`--set a.b=c` changes any value, and what is wrong with one is shown in its own text."""

from __future__ import annotations

import pytest

from flownet.language import check, load
from tests.language.small_registry import small_registry

TEXT = """
vars: {width: 6, deep: {units: [3, 4]}}
inputs: {image: float32[N, 1, 8, 8]}
nodes:
  - conv2d: {channels: $width, kernel: 3}
  - conv2d: {name: second, channels: 2, kernel: 3}
  - flatten
  - dense: {units: 10}
train:
  data: {dataset: toy}
  loss: {cross_entropy: {in: [dense_1, label]}}
  optimizer: sgd
"""


def changed(*overrides: str):
    return load(TEXT, registry=small_registry(), overrides=overrides)


def test_values_of_every_section() -> None:
    document = changed(
        "vars.width=12", "nodes.conv2d_1.kernel=[1, 1]", "nodes.second.channels=4", "nodes.3.units=5", "train.epochs=3",
        "train.optimizer={adam: {learning_rate: 1e-3}}", "train.data.limit=7", "inputs.image=float32[B, 1, 8, 8]",
    )  # fmt: skip
    nodes = document.graph.nodes
    assert nodes["conv2d_1"].op.channels == 12
    assert nodes["conv2d_1"].op.kernel == (1, 1)
    assert nodes["second"].op.channels == 4
    assert nodes["dense_1"].op.units == 5
    assert document.train.epochs == 3
    assert document.train.optimizer.learning_rate == 1e-3
    assert document.train.optimizer.name == "adam"
    assert document.train.data.limit == 7
    assert str(document.train.graph.values["label"].type) == "int32[B]"


def test_a_mapping_of_overrides() -> None:
    document = load(TEXT, registry=small_registry(), overrides={"vars.width": 12, "train.clip": {"norm": 1.0}})
    assert document.graph.nodes["conv2d_1"].op.channels == 12
    assert document.train.clip == {"norm": 1.0}


def test_an_attribute_of_a_node_that_has_none_yet() -> None:
    assert changed("nodes.flatten_1.name=flat").graph.nodes["flat"].op.name == "flatten"


def test_inside_a_variable() -> None:
    assert changed("vars.deep.units.1=9").vars["deep"] == {"units": [3, 9]}


@pytest.mark.parametrize(
    ("override", "code", "column", "help"),
    [
        ("vars.widht=3", "bad-override", 6, "did you mean `width`?"),
        ("nodes.conv2d_7.kernel=3", "bad-override", 7, "did you mean `conv2d_1`?"),
        ("nodes.conv2d_1.kernle=3", "unknown-attribute", 16, "did you mean `kernel`?"),
        ("train.epoch=3", "unknown-key", 7, "did you mean `epochs`?"),
        ("trian.epochs=3", "unknown-key", 1, "did you mean `train`?"),
        ("train.optimizer.sgd.rate=3", "bad-override", 17, ""),
        ("train.epochs=many", "bad-setting", 14, ""),
        ("train.epochs", "bad-override", 1, "write `--set train.epochs=3`"),
        ("train..epochs=3", "bad-override", 1, "write `--set train.epochs=3`"),
        ("train.epochs=[1", "yaml-syntax", 14, ""),
        ("train.epochs={", "yaml-syntax", 15, "close what is open with `}`"),
        ("nodes.99.units=3", "bad-override", 7, ""),
    ],
)
def test_mistakes(override: str, code: str, column: int, help: str) -> None:
    _, found = check(TEXT, registry=small_registry(), overrides=[override])
    (diagnostic,) = [d for d in found if d.severity == "error"]
    assert diagnostic.code == code
    assert (diagnostic.span.file.name, diagnostic.span.column) == ("--set", column)
    assert help in diagnostic.help
    assert override in str(diagnostic)
