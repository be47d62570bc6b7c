"""A run that used a single-file plugin has it in its folder, and works wherever that is moved to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flownet
from flownet.registry import Registry

OP = """\
from dataclasses import dataclass
import flownet

@dataclass(frozen=True)
class Scaled(flownet.ElementwiseOp):
    name = "NAME"
    expression = "FACTOR * x"
    derivative = {"x": "FACTOR * dy"}

@flownet.hookimpl
def flownet_ops():
    return [Scaled]
"""
NET = """\
flownet: 1
PLUGINS
inputs: {x: "float32[N, 4]"}
nodes:
  - dense: {units: 3}
  - NAME: {name: scores}
train:
  data: {dataset: iris}
  loss: {cross_entropy: {in: [scores, label]}}
  optimizer: {sgd: {learning_rate: 0.1}}
  epochs: 1
"""


def op(name: str, factor: int) -> str:
    return OP.replace("NAME", name).replace("FACTOR", str(factor))


def net(name: str, plugins: str) -> str:
    return NET.replace("NAME", name).replace("PLUGINS", plugins)


def trained(source: Path, folder: Path, registry: Registry) -> np.ndarray:
    network = flownet.load(source, device="cpu", registry=registry, trust_plugins=True)
    flownet.train(network, folder=folder)
    return scores(network)


def scores(network: Any) -> np.ndarray:
    return network.run(x=np.arange(8, dtype=np.float32).reshape(2, 4))["scores"]


def loaded(folder: Path) -> np.ndarray:
    """What another process makes of the run."""
    fresh = Registry(entry_points=False)
    weights = folder / "weights.safetensors"
    return scores(
        flownet.load(folder / "graph.yaml", device="cpu", registry=fresh, weights=weights, trust_plugins=True)
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def moved(home: Path) -> Path:
    """The run, elsewhere, and nothing left of where it came from."""
    shutil.move(home / "run", home.parent / "moved")
    shutil.rmtree(home)
    return home.parent / "moved"


def test_named_by_the_graph_file(home: Path) -> None:
    (home / "my_op.py").write_text(op("thrice", 3))
    (home / "net.yaml").write_text(net("thrice", "plugins: [./my_op.py]"))
    there = trained(home / "net.yaml", home / "run", Registry(entry_points=False))
    folder = moved(home)
    assert "plugins: [./plugins/my_op.py]\n" in (folder / "graph.yaml").read_text()
    assert str(home) not in (folder / "graph.yaml").read_text()
    assert (folder / "plugins" / "my_op.py").read_text() == op("thrice", 3)
    np.testing.assert_array_equal(loaded(folder), there)


def test_of_a_plugin_dir(home: Path) -> None:
    """The graph file names nothing: the run's does."""
    (home / "ops").mkdir()
    (home / "ops" / "my_op.py").write_text(op("fourfold", 4))
    (home / "net.yaml").write_text(net("fourfold", ""))
    registry = Registry(entry_points=False)
    registry.load_directory(home / "ops")
    there = trained(home / "net.yaml", home / "run", registry)
    np.testing.assert_array_equal(loaded(moved(home)), there)


def test_two_files_of_one_name_and_an_included_one(home: Path) -> None:
    (home / "parts").mkdir()
    (home / "parts" / "my_op.py").write_text(op("fivefold", 5))
    (home / "parts" / "more.yaml").write_text("plugins: [./my_op.py]\nvars: {unused: 1}\n")
    (home / "my_op.py").write_text(op("sixfold", 6))
    text = net("sixfold", "plugins: [./my_op.py]\ninclude: parts/more.yaml")
    (home / "net.yaml").write_text(text.replace("  - dense: {units: 3}", "  - dense: {units: 3}\n  - fivefold"))
    there = trained(home / "net.yaml", home / "run", Registry(entry_points=False))
    folder = moved(home)
    assert len(list((folder / "plugins").rglob("my_op.py"))) == 2
    np.testing.assert_array_equal(loaded(folder), there)


def test_a_copy_of_what_runs_already_asks_for_no_leave(home: Path) -> None:
    (home / "my_op.py").write_text(op("sevenfold", 7))
    (home / "net.yaml").write_text(net("sevenfold", "plugins: [./my_op.py]"))
    registry = Registry(entry_points=False)
    trained(home / "net.yaml", home / "run", registry)
    flownet.load(home / "run" / "graph.yaml", device="cpu", registry=registry)
    with pytest.raises(flownet.FlownetError, match="untrusted-plugin"):
        flownet.load(home / "run" / "graph.yaml", device="cpu", registry=Registry(entry_points=False))
    (home / "run" / "plugins" / "my_op.py").write_text(op("sevenfold", 8))  # another text: it is asked for again
    with pytest.raises(flownet.FlownetError, match="untrusted-plugin"):
        flownet.load(home / "run" / "graph.yaml", device="cpu", registry=registry)


def test_going_on_with_the_moved_run(home: Path) -> None:
    (home / "my_op.py").write_text(op("eightfold", 8))
    (home / "net.yaml").write_text(net("eightfold", "plugins: [./my_op.py]"))
    trained(home / "net.yaml", home / "run", Registry(entry_points=False))
    folder = moved(home)
    network = flownet.load(
        folder / "graph.yaml", device="cpu", registry=Registry(entry_points=False), trust_plugins=True,
        overrides=["train.epochs=1"],
    )  # fmt: skip
    flownet.train(network, folder=folder, resume=True)
    assert (folder / "plugins" / "my_op.py").is_file()
