"""The packages in plugins/: pip installs them into a fresh environment, flownet finds them, and their own tests pass there."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from .conftest import Environment, make_environment

PLUGINS = Path(__file__).parents[2] / "plugins"
PACKAGES = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))
BRINGS = {
    "flownet-ops-extra": {
        "op": [
            "dice_loss", "focal_loss", "focal_term", "local_response_norm", "maxout", "mish", "spatial_pyramid_pool", "squash",
            "squeeze_excitation",
        ]
    },
    "flownet-parquet": {"dataset": ["parquet"]},
    "flownet-sklearn": {"dataset": ["sklearn"]},
    "flownet-tensorboard": {},
}  # fmt: skip
NET = """\
flownet: 1
inputs: {x: "float32[N, 4]"}
nodes:
  - dense: {units: 6}
  - maxout
  - dense: {name: scores, units: 3}
train:
  data: {dataset: iris}
  loss: {cross_entropy: {in: [scores, label]}}
  optimizer: {sgd: {learning_rate: 0.1}}
  epochs: 1
"""
USE = """\
import sys
import flownet
from flownet.registry import Registry

what = sys.argv[1]
registry = Registry(entry_points=what == "with")
plain = {"flownet": 1, "inputs": {"x": "float32[N, 4]"}, "nodes": ["relu"]}
try:
    if what == "with":
        flownet.train(flownet.load("net.yaml", device="cpu", registry=registry), folder="run")
    elif what == "graph":
        flownet.load("run/graph.yaml", device="cpu", registry=registry)
    else:
        flownet.load(plain, device="cpu", registry=registry, weights="run/weights.safetensors")
except flownet.FlownetError as error:
    print(error)
"""
NEEDS = {"flownet-parquet": "pyarrow", "flownet-sklearn": "sklearn", "flownet-tensorboard": "tensorboardX"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    pytest.importorskip("setuptools", reason="the packages are built by setuptools")
    made = make_environment(tmp_path_factory.mktemp("packages") / "environment")
    made.install(*PACKAGES)
    return made


def test_each_package_is_whole() -> None:
    assert {path.name for path in PACKAGES} == set(BRINGS)
    for path in PACKAGES:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["name"] == path.name
        assert project["entry-points"]["flownet"]
        assert "flownet" in project["dependencies"]
        assert len((path / "README.md").read_text(encoding="utf-8").split()) > 80
        assert list((path / "tests").glob("test_*.py"))


@pytest.mark.slow
def test_flownet_finds_them(installed: Environment, tmp_path: Path) -> None:
    done = installed.flownet("plugins", "--json", cwd=tmp_path)
    plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
    for name, brings in BRINGS.items():
        problem = plugins[name]["problem"]
        if problem is not None and name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            assert NEEDS[name] in problem["message"]
            continue
        assert problem is None
        assert plugins[name]["brings"] == brings
        assert plugins[name]["version"] == "0.1.0"


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.name)
def test_their_own_tests_pass(installed: Environment, path: Path, tmp_path: Path) -> None:
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name])
    done = installed.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", path / "tests", "--rootdir", path, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_a_model_that_needs_one_says_so_where_it_is_not(installed: Environment, tmp_path: Path) -> None:
    """Trained with the plugin, loaded without it: the weights and the graph file each name the pip command."""
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "use.py").write_text(USE)
    assert installed.run("use.py", "with", cwd=tmp_path).stdout == ""
    for what in ("graph", "weights"):
        said = installed.run("use.py", what, cwd=tmp_path).stdout
        assert "missing-plugin" in said
        assert "flownet-ops-extra" in said
        assert "help: pip install" in said
