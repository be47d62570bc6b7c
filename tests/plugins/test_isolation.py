"""What happens with packages that are broken, in conflict, or written for another flownet: each is really installed by pip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import FIXTURES, Environment

pytestmark = pytest.mark.slow  # pip builds a dozen packages: about twenty seconds


@pytest.fixture(scope="module")
def listed(with_fixtures: Environment) -> dict[str, dict[str, Any]]:
    """What `flownet plugins --json` says, by the package's name without its common part."""
    done = with_fixtures.flownet("plugins", "--json")
    assert done.returncode == 0, done.stderr
    return {plugin["name"].removeprefix("flownet-fixture-"): plugin for plugin in json.loads(done.stdout)["plugins"]}


def test_all_packages_are_listed(listed: dict[str, Any]) -> None:
    packages = {folder.name for folder in FIXTURES.iterdir() if folder.is_dir()}
    assert packages <= set(listed)


@pytest.mark.parametrize(
    ("package", "code", "says"),
    [
        ("broken-import", "broken-plugin", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("exits", "broken-plugin", "SystemExit: this plugin thinks that it is a program"),
        ("misspelt-hook", "bad-hook", "there is no hook `flownet_dataset`"),
        ("unmarked-hook", "bad-hook", "`flownet_ops` is not marked as a hook"),
        ("api-too-new", "plugin-api", "written for version 99 of the plugin API, this flownet has version 1"),
        ("api-too-old", "plugin-api", "written for version 0 of the plugin API, this flownet has version 1"),
        ("not-frozen", "bad-contribution", "returns frozen dataclasses"),
        ("claims-builtin", "plugin-conflict", "the op `relu` is claimed by two plugins: `flownet` and `flownet-fixture-claims-builtin`"),
        ("conflict-two", "plugin-conflict", "the op `contested` is claimed by two plugins: `flownet-fixture-conflict-one` and"),
    ],
)  # fmt: skip
def test_a_broken_package_is_reported(listed: dict[str, Any], package: str, code: str, says: str) -> None:
    problem = listed[package]["problem"]
    assert problem["code"] == code
    assert says in problem["message"]
    assert problem["help"]
    assert not listed[package]["brings"]


@pytest.mark.parametrize(
    ("package", "help"),
    [
        ("misspelt-hook", "did you mean `flownet_datasets`"),
        ("api-too-new", "pip install --upgrade flownet"),
        ("api-too-old", "pip install --upgrade flownet-fixture-api-too-old"),
    ],
)
def test_the_help_says_what_to_do(listed: dict[str, Any], package: str, help: str) -> None:
    assert help in listed[package]["problem"]["help"]


def test_the_others_go_on_working(listed: dict[str, Any]) -> None:
    assert listed["everything"]["problem"] is None
    assert listed["everything"]["version"] == "1.2"
    assert set(listed["everything"]["brings"]) == {
        "op", "kernel", "initialiser", "schedule", "dataset", "augmentation", "pass", "device", "importer", "exporter", "command",
    }  # fmt: skip
    assert listed["flownet"]["problem"] is None


def test_the_same_module_twice_is_no_conflict(listed: dict[str, Any]) -> None:
    assert listed["registers-twice"]["problem"] is None
    assert listed["registers-twice"]["brings"] == {"op": ["doubled"]}


def test_the_same_file_by_plugin_dir_is_no_conflict(with_fixtures: Environment) -> None:
    done = with_fixtures.flownet("plugins", "--json", "--plugin-dir", FIXTURES / "registers-twice")
    plugins = json.loads(done.stdout)["plugins"]
    problems = [plugin["problem"] for plugin in plugins if "registers_twice" in plugin["origin"]]
    assert problems == [None] * len(problems)
    assert len(problems) == 2


def graph(folder: Path, op: str) -> Path:
    path = folder / f"{op}.yaml"
    path.write_text(f"flownet: 1\ninputs: {{x: 'float32[N, 2]'}}\nnodes:\n  - {op}\n")
    return path


def test_a_contested_name_is_nobodys(with_fixtures: Environment, tmp_path: Path) -> None:
    done = with_fixtures.flownet("check", graph(tmp_path, "contested"))
    assert done.returncode == 1
    assert "claimed by two plugins: `flownet-fixture-conflict-one` and `flownet-fixture-conflict-two`" in done.stderr


def test_a_builtin_keeps_its_name(with_fixtures: Environment, tmp_path: Path) -> None:
    done = with_fixtures.run(
        "-c",
        "import sys, numpy as np, flownet;"
        "print(flownet.load(sys.argv[1], device='cpu').run(x=np.array([[-1, 2]]))['relu_1'].tolist())",
        graph(tmp_path, "relu"),
    )
    assert done.stdout.strip() == "[[0.0, 2.0]]", done.stderr


def test_broken_packages_are_told_once_on_standard_error(with_fixtures: Environment, tmp_path: Path) -> None:
    done = with_fixtures.flownet("check", graph(tmp_path, "relu"))
    assert done.returncode == 0
    assert done.stderr.count("No module named 'a_module_that_nobody_has'") == 1
    assert "warning[broken-plugin]" in done.stderr
    assert "Traceback" not in done.stderr
