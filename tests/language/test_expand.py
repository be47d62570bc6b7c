"""The full form loads to the same graph, and expands to itself."""

from __future__ import annotations

import pytest

from flownet.language import expand, load
from flownet.language.reading import read_text
from flownet.language.report import Report
from flownet.language.tree import plain
from flownet.language.writing import to_flow, to_yaml
from tests.language.small_registry import small_registry

BLOCKS = """
vars: {width: 6, act: relu}
blocks:
  residual:
    args: {channels: required, kernel: 3}
    nodes:
      - conv2d: {channels: $channels, kernel: $kernel, padding: same, init: {he_normal: {fan: out}}}
      - $act: {name: body}
      - conv2d: {in: x, name: skip, channels: $channels, kernel: 1, padding: same, freeze: true}
      - add: {in: [body, skip]}
inputs: {image: float32[N, 1, 8, 8]}
nodes:
  - residual: {name: stage, channels: "${2 * width}", repeat: 2}
  - residual: {name: twin, channels: "${2 * width}", share: stage/1}
  - max_pool: {name: pool, device: cpu}
  - max_unpool: {in: {indices: pool.indices}}
  - concat: {in: [max_unpool_1, twin]}
  - flatten
  - dense: {name: logits, units: 10, init: {weight: zeros, bias: {constant: {value: .5}}}}
outputs: {scores: logits, where: pool.indices}
"""
TRAIN = """
train:
  data: {dataset: toy, augment: [{shift: 2}, flip], limit: 5, feed: {target: label}}
  loss:
    - cross_entropy: {in: [logits, target], weight: 0.5}
    - squared_error: {in: [image, image]}
  optimizer: {sgd: {learning_rate: 1e-3}}
  schedule: cosine
  metrics: {best: accuracy, five: {top_k_accuracy: {k: 5}}}
  batch: 8
  clip: {norm: 1}
  regularise: {l1: 1e-5}
  early_stopping: {patience: 3}
"""


@pytest.mark.parametrize("text", [BLOCKS, BLOCKS + TRAIN], ids=["graph", "train"])
def test_the_full_form_is_a_fixed_point(text: str) -> None:
    document = load(text, registry=small_registry())
    full = expand(document)
    again = load(full, registry=small_registry())
    assert expand(again) == full
    assert str(again.graph) == str(document.graph)
    assert [(v.name, v.trainable, v.initial) for v in again.graph.parameters] == [
        (v.name, v.trainable, v.initial) for v in document.graph.parameters
    ]
    assert [node.device for node in again.graph.nodes.values()] == [
        node.device for node in document.graph.nodes.values()
    ]
    if document.train is not None:
        assert str(again.train.graph) == str(document.train.graph)
        for field in (
            "loss",
            "metrics",
            "optimizer",
            "schedule",
            "data",
            "feed",
            "batch",
            "clip",
            "regularise",
            "early_stopping",
        ):
            assert getattr(again.train, field) == getattr(document.train, field)


def test_every_node_has_name_op_in_and_all_attributes() -> None:
    document = load("inputs: {x: 'float32[N, 8]'}\nnodes:\n  - dense: {units: 3}\n", registry=small_registry())
    assert "  - {name: dense_1, op: dense, in: x, units: 3, bias: true}\n" in expand(document)


VALUES = [
    None, True, False, 0, -3, 10**17, 1.5, 1e-3, 1e300, float("inf"), "", "relu", "true", "null", "1e3", "010", "~", "a: b", "- x", "#", "a\nb", "'", '"',
    "\\", "ü", "\x07", "float32[N, 3]", "${a}", "$x", "a/b.c", [], {}, [1, [2, {"a": None}]], {"a": {"b": [1, 2]}}, " x ", "\ud7ff", "@a", "*a", "&a", "!a", "%a",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_written_values_read_back_as_the_same(value: object) -> None:
    assert plain(read_text(f"a: {to_flow(value)}", "t", Report()))["a"] == value
    wide = {"a": value, "many": {f"key{i}": [value] * 5 for i in range(12)}}
    assert plain(read_text(to_yaml(wide), "t", Report())) == wide
