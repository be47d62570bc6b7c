"""One plugin that brings a thing of every kind: each is found at the place that it is for, and does its work there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.errors import FlownetError
from flownet.interop.formats import Model, format_for
from flownet.passes.lower import lower
from flownet.registry import KINDS, Registry

from .conftest import FIXTURES

FILE = FIXTURES / "everything" / "flownet_fixture_everything.py"

GRAPH: dict[str, Any] = {
    "flownet": 1,
    "inputs": {"x": "float32[N, 1]"},
    "nodes": [{"dense": {"units": 1, "name": "line", "init": {"bias": "sevens"}}}, {"tripled": {"name": "out"}}],
    "train": {
        "data": {"dataset": "line", "augment": ["negate"]},
        "loss": {"squared_error": {"in": ["out", "y"]}},
        "optimizer": {"sign_sgd": {"learning_rate": 0.25}},
        "schedule": "halving",
        "metrics": [{"worst_error": {"in": ["out", "y"]}}],
        "batch": 16,
        "epochs": 2,
    },
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry(entry_points=False)
    made.load_file(FILE)
    return made


@pytest.fixture(scope="module")
def everything(registry: Registry) -> Any:
    return registry.manager.get_plugin("flownet_fixture_everything")


def test_it_brings_something_of_every_kind_and_listens_to_everything(registry: Registry) -> None:
    plugin = registry.plugins["flownet_fixture_everything"]
    assert set(plugin.brings) == set(KINDS)
    assert plugin.listens == ["flownet_train_start", "flownet_train_step", "flownet_train_epoch", "flownet_train_end"]


@pytest.fixture(scope="module")
def trained(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    net = flownet.load(GRAPH, device="shadow", registry=registry)
    folder = tmp_path_factory.mktemp("kinds") / "run"
    result = flownet.train(net, folder=folder)
    return result, folder


def test_device(registry: Registry, everything: Any) -> None:
    assert isinstance(flownet.load(GRAPH, device="shadow", registry=registry).session.device, everything.Shadow)


def test_device_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from flownet.cli.program import flownet as program

    assert program.main(["devices", "--json", "--plugin-dir", str(FILE.parent)], standalone_mode=False) == 0
    listed = {device["id"]: device for device in json.loads(capsys.readouterr().out)["devices"]}
    assert listed["shadow"]["platform"] == "plugin flownet_fixture_everything"
    assert "NumPy" in listed["shadow"]["name"]


def test_initialiser(registry: Registry) -> None:
    assert flownet.load(GRAPH, device="cpu", registry=registry).weights["line.bias"].tolist() == [7.0]


def test_op_forward_and_gradient(registry: Registry) -> None:
    net = flownet.load(GRAPH, device="cpu", registry=registry)
    weight = net.weights["line.weight"].item()
    assert net.run(x=np.array([[2.0]]))["out"].item() == pytest.approx(3 * (2 * weight + 7))
    assert net.gradients("out", ["line.bias"], x=np.array([[2.0]]))["line.bias"].tolist() == [3.0]


def test_dataset_augmentation_and_optimiser(registry: Registry) -> None:
    """One step by hand: −x is fed, and every parameter moves by the learning rate, against its gradient's sign."""
    net = flownet.load(GRAPH, device="cpu", registry=registry)
    before = {name: array.item() for name, array in net.weights.items()}
    seen: list[float] = []

    def stop(progress: Any) -> bool:
        seen.append(progress.loss)
        return False

    flownet.train(net, folder=None, callback=stop)
    after = {name: array.item() for name, array in net.weights.items()}
    assert {name: abs(after[name] - before[name]) for name in before} == pytest.approx(dict.fromkeys(before, 0.25))
    assert after["line.bias"] == 6.75  # the line lies at 1, three times the bias at 21: down


def test_metric(trained: tuple[Any, Path]) -> None:
    records = [json.loads(line) for line in (trained[1] / "log.jsonl").read_text().splitlines()]
    first = records[0]
    assert first["metrics"]["worst_error"] > 10  # bias 7 gives 21, and the line's values are −1 to 3


def test_schedule(trained: tuple[Any, Path]) -> None:
    records = [json.loads(line) for line in (trained[1] / "log.jsonl").read_text().splitlines()]
    rates = [record["learning_rate"] for record in records if record["kind"] == "step"]
    assert rates == [0.25, 0.25, 0.125, 0.125]  # 32 examples in batches of 16, half the rate in the second epoch


def test_pass(registry: Registry, everything: Any) -> None:
    everything.passes_seen.clear()
    net = flownet.load(GRAPH, device="cpu", registry=registry)
    net.run(x=np.zeros((1, 1)))
    assert everything.passes_seen == [net.graph.name]
    names = [step.name for step in net.session.passes]
    assert names.index("note_the_graph") == names.index("fold_constants") + 1


def test_a_pass_can_be_switched_off(registry: Registry, everything: Any) -> None:
    everything.passes_seen.clear()
    document = flownet.load(GRAPH, device="cpu", registry=registry).document
    flownet.compile(document, device="cpu", registry=registry, without=["note_the_graph"]).run(x=np.zeros((1, 1)))
    assert not everything.passes_seen


def test_a_pass_is_in_the_plan_that_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from flownet.cli.program import flownet as program

    (tmp_path / "net.yaml").write_text("flownet: 1\ninputs: {x: 'float32[N, 2]'}\nnodes: [relu]\n")
    arguments = ["plan", str(tmp_path / "net.yaml"), "--device", "cpu", "--plugin-dir", str(FILE.parent), "--no-pass"]
    assert program.main([*arguments, "note_the_graph"], standalone_mode=False) == 0
    assert program.main([*arguments, "note_the_grape"], standalone_mode=False) == 1
    assert "did you mean `note_the_graph`" in capsys.readouterr().err


def test_listeners(trained: tuple[Any, Path]) -> None:
    told = [json.loads(line) for line in (trained[1] / "told.jsonl").read_text().splitlines()]
    assert told == [
        "start", ["step", 1, 0.25], ["step", 2, 0.25], ["epoch", 0], ["step", 3, 0.125], ["step", 4, 0.125], ["epoch", 1], ["end", ""],
    ]  # fmt: skip


def test_kernel(registry: Registry) -> None:
    """An op without kernels is placed on the host by the OpenCL compiler; with the one that the hook brings it is not."""
    graph = flownet.load(
        {"flownet": 1, "inputs": {"x": "float32[3]"}, "nodes": ["squared"]}, device="cpu", registry=registry
    ).graph
    without, with_it = lower(graph, {}), lower(graph, dict(registry.items("kernel")))
    assert [(node.op.name, node.device) for node in without.nodes.values()] == [("squared", "cpu")]
    assert [(node.op.name, node.device) for node in with_it.nodes.values()] == [("elementwise", None)]


@pytest.mark.opencl
def test_kernel_on_a_device(registry: Registry) -> None:
    try:
        net = flownet.load(
            {"flownet": 1, "inputs": {"x": "float32[3]"}, "nodes": ["squared"]}, device="opencl", registry=registry
        )
    except FlownetError as error:
        pytest.skip(str(error))
    assert net.run(x=np.array([1, -2, 3]))["squared_1"].tolist() == [1, 4, 9]
    assert {step.device for step in net.plan().program.steps} != {"cpu"}


def test_exporter(registry: Registry, tmp_path: Path) -> None:
    net = flownet.load(GRAPH, device="cpu", registry=registry)
    path = tmp_path / "model.names.json"
    format_for(registry, "exporter", path).write(Model(graph=net.graph, weights=net.weights), path)
    assert json.loads(path.read_text()) == {"line.weight": [1, 1], "line.bias": [1]}


def test_importer(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "net.layers"
    path.write_text("8 3")
    model = format_for(registry, "importer", path).read(path)
    net = flownet.load(model.source, device="cpu", registry=registry)
    assert net.run(x=np.zeros((5, 4)))["dense_2"].shape == (5, 3)


def test_a_suffix_that_nobody_takes(registry: Registry) -> None:
    with pytest.raises(FlownetError) as caught:
        format_for(registry, "importer", "net.layer")
    assert caught.value.diagnostics[0].code == "unknown-importer"
    assert "`.layers`" in caught.value.diagnostics[0].help


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from flownet.cli.program import flownet as program

    status = program.main(["--plugin-dir", str(FILE.parent), "greet"], standalone_mode=False)
    assert status == 0
    assert capsys.readouterr().out == "hello from a plugin\n"


# -- what is saved says what it needs --------------------------------------------------------------------------------


def test_weights_name_the_plugins_that_they_need(trained: tuple[Any, Path], registry: Registry) -> None:
    from flownet.training.checkpoint import read_tensors

    digest = registry.plugins["flownet_fixture_everything"].digest
    saved = read_tensors(trained[0].weights).metadata["plugins"]
    assert saved == {"flownet": flownet.__version__, "flownet_fixture_everything": f"sha256:{digest}"}


def test_loading_without_them_says_what_is_missing(trained: tuple[Any, Path], tmp_path: Path) -> None:
    from flownet.training.checkpoint import write_tensors

    plain = {"flownet": 1, "inputs": {"x": "float32[N, 1]"}, "nodes": [{"dense": {"units": 1, "name": "line"}}]}
    bare = Registry(entry_points=False)
    with pytest.raises(FlownetError) as caught:
        flownet.load(plain, device="cpu", registry=bare, weights=trained[0].weights)
    problem = caught.value.diagnostics[0]
    assert problem.code == "missing-plugin"
    assert problem.notes == ("the Python file `flownet_fixture_everything.py` was loaded as a plugin",)
    assert "--plugin-dir" in problem.help
    path = tmp_path / "w.safetensors"
    write_tensors(
        path, {"a": np.zeros(1)}, {"plugins": {"flownet-ops-extra": "0.1.0", "flownet-gone": "2.0", "flownet": "0.0.1"}}
    )
    with pytest.raises(FlownetError) as caught:
        flownet.load(plain, device="cpu", registry=bare, weights=path)
    problem = caught.value.diagnostics[0]
    assert "2 plugins that are not here" in problem.message
    assert problem.notes == ("`flownet-ops-extra` 0.1.0 is not installed", "`flownet-gone` 2.0 is not installed")
    assert problem.help == "pip install flownet-ops-extra==0.1.0 flownet-gone==2.0"


def test_another_text_of_a_file_is_told(trained: tuple[Any, Path], tmp_path: Path) -> None:
    copy = tmp_path / FILE.name
    copy.write_text(FILE.read_text() + "\n# changed since\n")
    changed = Registry(entry_points=False)
    changed.load_file(copy)
    with pytest.warns(RuntimeWarning, match="saved with another text of `flownet_fixture_everything.py`"):
        flownet.load(GRAPH, device="cpu", registry=changed, weights=trained[0].weights)
