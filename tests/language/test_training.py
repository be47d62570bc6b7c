"""The `train` section: targets, losses, metrics, settings."""

from __future__ import annotations

import pytest

from flownet.language import check, load
from tests.language.small_registry import Adam, Cosine, Flip, Sgd, Shift, Toy, small_registry

NET = "inputs: {image: float32[N, 1, 8, 8]}\nnodes:\n  - flatten\n  - dense: {name: logits, units: 10}\n"


def section(train: str, net: str = NET):
    return load(net + train, registry=small_registry()).train


FULL = """
train:
  data: {dataset: toy, augment: [flip, {shift: 3}], limit: 100}
  loss: {cross_entropy: {in: [logits, label]}}
  optimizer: {adam: {learning_rate: 1e-3}}
  schedule: {cosine: {end: 0.1}}
  metrics: [accuracy, {top_k_accuracy: {k: 3}}]
  batch: 16
  epochs: 4
  seed: 7
  clip: {norm: 1, value: 5}
  regularise: {l2: 1e-4}
  early_stopping: {patience: 2, monitor: accuracy}
"""


def test_all_of_it() -> None:
    found = section(FULL)
    assert found.data == Toy(augment=(Flip(), Shift(pixels=3)), limit=100)
    assert found.optimizer == Adam(learning_rate=1e-3)
    assert found.schedule == Cosine(end=0.1)
    assert (found.batch, found.epochs, found.seed) == (16, 4, 7)
    assert found.clip == {"norm": 1.0, "value": 5.0}
    assert found.regularise == {"l2": 1e-4}
    assert found.early_stopping == {"patience": 2, "monitor": "accuracy", "min_delta": 0.0}
    graph = found.graph
    assert str(graph.values["label"].type) == "int32[N]"
    assert dict(graph.nodes["loss/cross_entropy_1"].inputs) == {"logits": "logits", "target": "label"}
    assert found.loss == "loss/cross_entropy_1"
    assert found.metrics == {"accuracy": "metrics/accuracy_1", "top_k_accuracy": "metrics/top_k_accuracy_1"}
    assert graph.nodes["metrics/top_k_accuracy_1"].op.k == 3


def test_what_is_left_out_has_its_default() -> None:
    found = section("train: {data: toy, loss: {cross_entropy: {in: [logits, label]}}, optimizer: sgd}\n")
    assert (found.batch, found.epochs, found.seed, found.schedule) == (32, 10, 0, None)
    assert (found.clip, found.regularise, found.early_stopping, found.metrics) == (None, None, None, {})
    assert found.optimizer == Sgd()


def test_the_graph_itself_has_no_targets() -> None:
    document = load(NET + FULL, registry=small_registry())
    assert [value.name for value in document.graph.inputs] == ["image"]
    assert list(document.graph.nodes) == ["flatten_1", "logits"]


def test_metrics_by_name_and_with_inputs_of_their_own() -> None:
    found = section(
        "train:\n  data: toy\n  loss: {cross_entropy: {in: [logits, label]}}\n  optimizer: sgd\n"
        "  metrics: {top: accuracy, other: {accuracy: {in: [flatten_1, label]}}}\n"
    )
    assert dict(found.graph.nodes[found.metrics["other"]].inputs) == {"x": "flatten_1", "target": "label"}
    assert list(found.metrics) == ["top", "other"]


def test_one_metric_twice_gets_two_names() -> None:
    found = section(
        "train:\n  data: toy\n  loss: {cross_entropy: {in: [logits, label]}}\n  optimizer: sgd\n"
        "  metrics: [top_k_accuracy: {k: 1}, top_k_accuracy: {k: 2}, top_k_accuracy: {name: third, k: 3}]\n"
    )
    assert list(found.metrics) == ["top_k_accuracy", "top_k_accuracy_2", "third"]


def test_several_losses_are_added_with_their_weights() -> None:
    found = section(
        "train:\n  data: toy\n  optimizer: sgd\n  loss:\n    - cross_entropy: {in: [logits, label], weight: 2}\n"
        "    - {op: squared_error, in: [image, image], weight: '${1 / 4}'}\n"
    )
    graph = found.graph
    total = graph.nodes[found.loss]
    assert total.op.run({"first": _scalar(2 * 3.0), "second": _scalar(8.0)})[0] == pytest.approx(2 * 3.0 + 8.0 / 4)
    scaled = graph.nodes[total.inputs["first"]]
    assert scaled.op.run({"first": _scalar(3.0), "second": _scalar(3.0)})[0] == 6.0
    assert graph.values[found.loss].type.shape == ()


def _scalar(value: float):
    import numpy as np

    return np.array(value, np.float32)


def test_a_loss_among_the_nodes_is_named() -> None:
    net = "inputs: {image: float32[N, 1, 8, 8], label: int32[N]}\nnodes:\n  - flatten: {in: image}\n  - dense: {name: logits, units: 10}\n"
    net += "  - cross_entropy: {name: error, in: [logits, label]}\noutputs: [logits]\n"
    document = load(net + "train: {data: toy, loss: error, optimizer: sgd}\n", registry=small_registry())
    assert document.train.loss == "error"
    assert not document.warnings


def test_the_batch_is_called_as_the_inputs_call_it() -> None:
    found = section(FULL, NET.replace("[N,", "[B,"))
    assert str(found.graph.values["label"].type) == "int32[B]"


def test_symbols_get_the_data_s_sizes_in_the_training_graph() -> None:
    net = "inputs: {image: float32[N, 1, H, W]}\nnodes:\n  - conv2d: {name: maps, channels: 3, kernel: 3, padding: same}\n"
    document = load(
        net + "train: {data: toy, loss: {cross_entropy: {in: [maps, mask]}}, optimizer: sgd}\n",
        registry=small_registry(),
    )
    assert str(document.graph.values["maps"].type) == "float32[N, 3, H, W]"
    assert str(document.train.graph.values["maps"].type) == "float32[N, 3, 8, 8]"


def test_feed_maps_inputs_and_targets_to_fields() -> None:
    found = section(
        "train:\n  data: {dataset: toy, feed: {picture: image, target: label}}\n"
        "  loss: {cross_entropy: {in: [logits, target]}}\n  optimizer: sgd\n",
        NET.replace("image", "picture"),
    )
    assert found.feed == {"picture": "image", "target": "label"}
    assert str(found.graph.values["target"].type) == "int32[N]"


def test_an_autoencoder_has_its_input_for_a_target() -> None:
    found = section("train: {data: toy, loss: {squared_error: {in: [image, image]}}, optimizer: sgd}\n")
    assert [value.name for value in found.graph.inputs] == ["image"]


def test_data_that_are_not_here_leave_the_target_s_type_to_the_loss() -> None:
    document = load(
        NET + "train: {data: absent, loss: {cross_entropy: {in: [logits, label]}}, optimizer: sgd}\n",
        registry=small_registry(),
    )
    assert [d.code for d in document.warnings] == ["data-missing"]
    assert str(document.train.graph.values["label"].type) == "int32[N]"


def test_no_data_at_all_is_for_arrays_given_in_python() -> None:
    found = section("train: {loss: {cross_entropy: {in: [logits, label]}}, optimizer: sgd}\n")
    assert found.data is None
    assert str(found.graph.values["label"].type) == "int32[N]"


def test_a_file_with_mistakes_in_its_nodes_has_its_train_section_checked_too() -> None:
    _, found = check(
        NET.replace("units", "unit") + "train: {data: toi, loss: {cros_entropy: {}}, optimizer: sgd}\n",
        registry=small_registry(),
    )
    assert {d.code for d in found} == {"unknown-attribute", "unknown-dataset", "unknown-op"}


def test_a_loss_with_inputs_by_name_hands_them_to_the_metrics_in_order() -> None:
    found = section(
        "train: {loss: {cross_entropy: {in: {target: label, logits: logits}}}, metrics: accuracy, optimizer: sgd}\n"
    )
    assert dict(found.graph.nodes["metrics/accuracy_1"].inputs) == {"x": "logits", "target": "label"}
    assert str(found.graph.values["label"].type) == "int32[N]"


def test_paths_of_data_start_from_the_graph_file(tmp_path) -> None:
    pytest.importorskip("flownet.data.datasets.csv_file")
    from flownet.registry import default_registry

    (tmp_path / "points.csv").write_text("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n")
    graph = tmp_path / "net.yaml"
    graph.write_text(
        "inputs: {x: float32[N, 2]}\nnodes: [relu]\n"
        "train: {data: {dataset: csv, path: points.csv, target: kind}, loss: relu_1, optimizer: {sgd: {}}}\n"
    )
    _, found = check(graph, registry=default_registry())
    assert "data-missing" not in [d.code for d in found]
