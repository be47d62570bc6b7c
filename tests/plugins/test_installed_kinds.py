"""The plugin that brings a thing of every kind, installed by pip: flownet uses each by its name alone, from the command line
where there is a command for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Environment

pytestmark = pytest.mark.slow  # pip installs the fixtures

NET = """\
flownet: 1
plugins: [flownet-fixture-everything>=1]
inputs: {x: "float32[N, 1]"}
nodes:
  - dense: {units: 1, name: line, init: {bias: sevens}}
  - tripled: {name: out}
train:
  data: {dataset: line, augment: [negate]}
  loss: {squared_error: {in: [out, y]}}
  optimizer: {sign_sgd: {learning_rate: 0.25}}
  schedule: halving
  metrics: [{worst_error: {in: [out, y]}}]
  batch: 16
  epochs: 2
"""

FORMATS = """
import sys
from pathlib import Path
import numpy as np
import flownet
from flownet.interop.formats import Model, format_for
from flownet.registry import default_registry

folder = Path(sys.argv[1])
(folder / "net.layers").write_text("8 3")
registry = default_registry()
model = format_for(registry, "importer", folder / "net.layers").read(folder / "net.layers")
net = flownet.load(model.source, device="cpu")
out = folder / "net.names.json"
format_for(registry, "exporter", out).write(Model(graph=net.graph, weights=net.weights), out)
print(out.read_text())
"""


@pytest.fixture(scope="module")
def trained(with_fixtures: Environment, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What `flownet train --json` says, and the folder."""
    folder = tmp_path_factory.mktemp("everything")
    (folder / "net.yaml").write_text(NET)
    done = with_fixtures.flownet("train", "net.yaml", "--device", "shadow", "--out", "run", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_op_optimiser_dataset_augmentation_schedule_metric_initialiser_device(
    trained: tuple[dict[str, Any], Path],
) -> None:
    records = [json.loads(line) for line in (trained[1] / "run" / "log.jsonl").read_text().splitlines()]
    steps = [record for record in records if record["kind"] == "step"]
    assert [step["learning_rate"] for step in steps] == [0.25, 0.25, 0.125, 0.125]
    assert steps[0]["metrics"]["worst_error"] > 10  # the bias starts at 7, which the op triples
    told = (trained[1] / "run" / "told.jsonl").read_text().splitlines()
    assert (told[0], told[-1]) == ('"start"', '["end", ""]')


def test_weights_record_it_and_the_run_loads_again(
    trained: tuple[dict[str, Any], Path], with_fixtures: Environment
) -> None:
    assert "flownet-fixture-everything>=1" in (trained[1] / "run" / "graph.yaml").read_text()
    again = with_fixtures.flownet(
        "eval", "run/graph.yaml", "--weights", "run/weights.safetensors", "--device", "cpu", "--split", "train", "--json",
        cwd=trained[1],
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_command(with_fixtures: Environment) -> None:
    assert with_fixtures.flownet("greet").stdout == "hello from a plugin\n"
    assert "greet" in with_fixtures.flownet("--help").stdout


def test_pass_by_its_name(trained: tuple[dict[str, Any], Path], with_fixtures: Environment) -> None:
    for name, status in (("note_the_graph", 0), ("note_the_grape", 1)):
        done = with_fixtures.flownet("plan", "net.yaml", "--device", "shadow", "--no-pass", name, cwd=trained[1])
        assert done.returncode == status, done.stderr
    assert "did you mean `note_the_graph`" in done.stderr


def test_kernel_for_an_op_of_others(with_fixtures: Environment) -> None:
    """The fixture's op has no kernels of its own: those by the hook are its only ones."""
    shown = json.loads(with_fixtures.flownet("op", "show", "squared", "--json").stdout)
    assert shown["opencl"] == {"forward": "kernels", "backward": "NumPy"}


def test_importer_and_exporter(with_fixtures: Environment, tmp_path: Path) -> None:
    (tmp_path / "formats.py").write_text(FORMATS)
    done = with_fixtures.run("formats.py", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout).values()) == [
        [3],
        [3, 8],
        [8],
        [8, 4],
    ]  # two dense layers: units by inputs, and biases
