"""The Python API: load, bind, run, differentiate, train, save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flownet
from flownet.errors import FlownetError
from tests.training.small import graph_of, network

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def test_a_network_is_loaded_from_a_file_a_dict_and_a_text(tmp_path: Path) -> None:
    text = "inputs: {x: 'float32[N, 4]'}\nnodes:\n  - dense: {units: 2, name: y}\n"
    (tmp_path / "g.yaml").write_text(text)
    graph = {"inputs": {"x": "float32[N, 4]"}, "nodes": [{"dense": {"units": 2, "name": "y"}}]}
    results = [
        flownet.load(source, device="cpu", seed=1).run(x=X)["y"]
        for source in (tmp_path / "g.yaml", str(tmp_path / "g.yaml"), text, graph)
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_running_computes_what_numpy_computes() -> None:
    net = network()
    w = net.weights
    hidden = np.tanh(X @ w["dense_1.weight"].T + w["dense_1.bias"])
    logits = hidden @ w["logits.weight"].T + w["logits.bias"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.run(x=X)["probabilities"], p, rtol=1e-5)
    np.testing.assert_array_equal(net({"x": X})["probabilities"], net.run({"x": X})["probabilities"])


def test_lists_and_other_element_types_are_taken() -> None:
    net = network()
    np.testing.assert_array_equal(
        net.run(x=X.tolist())["probabilities"], net.run(x=X.astype(np.float64))["probabilities"]
    )


def test_any_value_can_be_fetched() -> None:
    net = network()
    found = net.run(x=X, fetch=["logits", "dense_1", "x", "logits.bias"])
    assert {name: array.shape for name, array in found.items()} == {
        "logits": (5, 3),
        "dense_1": (5, 16),
        "x": (5, 4),
        "logits.bias": (3,),
    }
    np.testing.assert_array_equal(found["x"], X)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda net: net.run(y=X), "unknown-input"),
        (lambda net: net.run(), "missing-input"),
        (lambda net: net.run(x=X[:, :3]), "input-mismatch"),
        (lambda net: net.run(x=X + 1j), "input-mismatch"),
        (lambda net: net.run(x="abc"), "input-mismatch"),
        (lambda net: net.run(x=[[1.0], [2.0, 3.0]]), "input-mismatch"),
        (lambda net: net.run(x=None), "input-mismatch"),
        (lambda net: net.run(x=X, fetch=["logit"]), "unknown-value"),
        (lambda net: net.gradients("logits", ["nothing"], x=X), "unknown-value"),
    ],
)
def test_wrong_calls_are_named(call, code: str) -> None:
    with pytest.raises(FlownetError) as error:
        call(network())
    assert error.value.diagnostics[0].code == code


@pytest.mark.parametrize("indices", [[1.7, 0.0], [2**32 + 1, 0]])
def test_values_are_not_rounded_or_cut_to_fit_an_input_of_whole_numbers(indices) -> None:
    net = flownet.load(
        {"inputs": {"word": "int32[N]"}, "nodes": [{"embedding": {"rows": 4, "units": 2}}]}, device="cpu"
    )
    assert net.run(word=np.array([1.0, 0.0]))["embedding_1"].shape == (2, 2)
    with pytest.raises(FlownetError, match="no int32"):
        net.run(word=indices)


def test_a_misspelt_value_has_near_names() -> None:
    with pytest.raises(FlownetError, match="did you mean `logits`"):
        network().run(x=X, fetch=["logit"])


def test_gradients_with_respect_to_inputs_parameters_and_results() -> None:
    net = flownet.load(graph_of(), device="cpu", dtype="float64", seed=1)
    x = X.astype(np.float64)
    found = net.gradients("logits", ["x", "logits.weight", "dense_1"], x=x)
    w = net.weights
    hidden = np.tanh(x @ w["dense_1.weight"].T + w["dense_1.bias"])
    dhidden = np.ones((5, 3)) @ w["logits.weight"] * (1 - hidden**2)
    np.testing.assert_allclose(found["logits.weight"], np.ones((3, 5)) @ hidden, rtol=1e-12)
    np.testing.assert_allclose(found["dense_1"], dhidden, rtol=1e-12)
    np.testing.assert_allclose(found["x"], dhidden @ w["dense_1.weight"], rtol=1e-12)


def test_gradients_leave_the_weights_alone() -> None:
    net = network()
    before = net.weights
    net.gradients("logits", ["x"], x=X)
    for name, array in net.weights.items():
        np.testing.assert_array_equal(array, before[name])


def test_gradients_at_several_batch_sizes() -> None:
    net = network()
    whole = net.gradients("logits", ["x"], x=X)["x"]
    np.testing.assert_allclose(net.gradients("logits", ["x"], x=X[:2])["x"], whole[:2], rtol=1e-6)


def test_weights_are_saved_and_bound(tmp_path: Path) -> None:
    net, other = network(seed=1), network(seed=2)
    net.save(tmp_path / "w.safetensors")
    assert not np.array_equal(net.run(x=X)["probabilities"], other.run(x=X)["probabilities"])
    assert other.bind(tmp_path / "w.safetensors") is other
    np.testing.assert_array_equal(net.run(x=X)["probabilities"], other.run(x=X)["probabilities"])
    other.bind({name: np.zeros_like(array) for name, array in net.weights.items()})
    np.testing.assert_allclose(other.run(x=X)["probabilities"], 1 / 3, rtol=1e-6)


def test_a_checkpoint_can_be_bound_too(tmp_path: Path) -> None:
    net = network()
    flownet.train(net, folder=tmp_path)
    again = network(seed=5).bind(tmp_path / "checkpoint.safetensors")
    np.testing.assert_array_equal(again.run(x=X)["probabilities"], net.run(x=X)["probabilities"])


def test_weights_of_another_graph_say_which_names_and_shapes_differ(tmp_path: Path) -> None:
    wide = graph_of()
    wide["nodes"][0] = {"dense": {"units": 20}}
    flownet.load(wide, device="cpu").save(tmp_path / "wide")
    renamed = graph_of()
    renamed["nodes"][0] = {"dense": {"units": 16, "name": "first"}}
    flownet.load(renamed, device="cpu").save(tmp_path / "renamed")
    net = network()
    before = net.weights
    with pytest.raises(FlownetError) as error:
        net.bind(tmp_path / "wide")
    assert "`dense_1.weight` is [20, 4] in the weights, float32[16, 4] in the graph" in error.value.diagnostics[0].notes
    with pytest.raises(FlownetError) as error:
        net.bind(tmp_path / "renamed")
    assert "`dense_1.weight` is in the graph, not in the weights" in error.value.diagnostics[0].notes
    assert "`first.weight` is in the weights, not in the graph" in error.value.diagnostics[0].notes
    for name, array in net.weights.items():
        np.testing.assert_array_equal(array, before[name])


def test_the_seed_decides_the_start_and_none_means_the_file_s() -> None:
    assert np.array_equal(network(seed=3).weights["logits.weight"], network(seed=3).weights["logits.weight"])
    assert not np.array_equal(network(seed=3).weights["logits.weight"], network(seed=4).weights["logits.weight"])
    by_file = flownet.load(graph_of(seed=3), device="cpu")
    np.testing.assert_array_equal(by_file.weights["logits.weight"], network(seed=3).weights["logits.weight"])


def test_overrides_reach_from_python() -> None:
    net = flownet.load(graph_of(), device="cpu", overrides=["train.epochs=1", "nodes.dense_1.units=5"])
    assert net.document.train is not None
    assert net.document.train.epochs == 1
    assert net.weights["dense_1.weight"].shape == (5, 4)


def test_double_precision_computes_everything_in_it() -> None:
    net = flownet.load(graph_of(), device="cpu", dtype="float64")
    assert {array.dtype for array in net.weights.values()} == {np.dtype(np.float64)}
    assert net.run(x=X)["probabilities"].dtype == np.float64


def test_training_with_a_callback_improves_the_network(tmp_path: Path) -> None:
    net = network(epochs=10)
    losses = []
    result = flownet.train(net, folder=tmp_path, callback=lambda progress: losses.append(progress.loss))
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert flownet.evaluate(net)["test"].metrics["accuracy"] == result.metrics["test"]["accuracy"]


def test_evaluate_names_the_splits_that_there_are() -> None:
    with pytest.raises(FlownetError, match="it has train, test, validation"):
        flownet.evaluate(network(), ["zzz"])


def test_a_network_whose_parameters_are_frozen_can_be_evaluated() -> None:
    graph = graph_of()
    for node in graph["nodes"]:
        if isinstance(node, dict) and "dense" in node:
            node["dense"]["freeze"] = True
    assert flownet.evaluate(flownet.load(graph, device="cpu"))["test"].loss > 0


def test_the_public_names_are_there() -> None:
    for name in flownet.__all__:
        assert getattr(flownet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        flownet.nothing


def test_all_that_differs_in_the_weights_is_told_at_once() -> None:
    net = network()
    weights = net.weights
    weights["extra"] = weights.pop("dense_1.bias")
    weights["logits.weight"] = weights["logits.weight"][:2]
    with pytest.raises(FlownetError) as error:
        net.bind(weights)
    assert [note.split(";")[0] for note in error.value.diagnostics[0].notes] == [
        "`dense_1.bias` is in the graph, not in the weights",
        "`extra` is in the weights, not in the graph",
        "`logits.weight` is [2, 16] in the weights, float32[3, 16] in the graph",
    ]


def test_of_many_names_that_differ_the_first_ten_are_told() -> None:
    net = network()
    with pytest.raises(FlownetError) as error:
        net.bind({**net.weights, **{f"other_{i}": np.zeros(2) for i in range(30)}})
    notes = error.value.diagnostics[0].notes
    assert len(notes) == 11
    assert notes[-1] == "… and of 20 more the same is true"


WITH_BLOCKS = """
blocks:
  head:
    inputs: [x]
    outputs: {main: tanh_1, before: dense_1}
    nodes:
      - dense: {units: 3}
      - tanh
inputs: {x: 'float32[N, 4]'}
nodes:
  - head: {name: logits}
  - dense: {name: twice, units: 3, repeat: 2}
outputs: {answer: twice}
"""


def test_a_block_s_name_is_its_output_s() -> None:
    net = flownet.load(WITH_BLOCKS, device="cpu")
    other = {
        "logits": "logits/tanh_1", "logits.before": "logits/dense_1", "logits.main": "logits/tanh_1", "twice": "twice/1",
        "answer": "twice/1",
    }  # fmt: skip
    by_block, by_node = net.run(x=X, fetch=list(other)), net.run(x=X, fetch=list(set(other.values())))
    assert list(by_block) == list(other)
    for block, node in other.items():
        np.testing.assert_array_equal(by_block[block], by_node[node])


def test_gradients_know_a_block_by_its_name() -> None:
    net = flownet.load(WITH_BLOCKS, device="cpu")
    found = net.gradients("twice", ["x", "logits", "logits/dense_1.weight"], x=X)
    want = net.gradients("twice/1", ["x", "logits/tanh_1", "logits/dense_1.weight"], x=X)
    assert list(found) == ["x", "logits", "logits/dense_1.weight"]
    for array, expected in zip(found.values(), want.values(), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert np.abs(found["logits"]).max() > 0


def test_data_that_are_not_there_are_told_at_their_path(tmp_path: Path) -> None:
    data = "data: {dataset: npz, path: none.npz}"
    (tmp_path / "g.yaml").write_text(
        "inputs: {x: 'float32[N, 4]'}\nnodes:\n  - dense: {name: s, units: 2}\n"
        f"train:\n  {data}\n  loss: {{cross_entropy: {{in: [s, y]}}}}\n  optimizer: sgd\n"
    )
    with pytest.raises(FlownetError) as error:
        flownet.train(flownet.load(tmp_path / "g.yaml", device="cpu"), folder=tmp_path / "run")
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "data-missing"
    assert diagnostic.span is not None
    assert (diagnostic.span.line, diagnostic.span.column) == (5, 3 + data.index("none.npz"))


def test_an_element_type_without_fractions_is_refused() -> None:
    with pytest.raises(FlownetError) as caught:
        flownet.load(graph_of(), device="cpu", dtype="int32")
    assert caught.value.diagnostics[0].code == "bad-value"
