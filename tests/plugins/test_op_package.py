"""`flownet op new` writes a package that installs, passes and appears at once; it is also one file for `--plugin-dir`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flownet.errors import FlownetError
from flownet.registry import Registry
from flownet.scaffold import write_op_package

from .conftest import Environment


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(entry_points=False)


def test_the_files(registry: Registry, tmp_path: Path) -> None:
    folder, files = write_op_package("root_scale", tmp_path, registry)
    assert folder == tmp_path / "flownet-root-scale"
    assert {str(path.relative_to(folder)) for path in files} == {
        "pyproject.toml", "README.md", "flownet_root_scale.py", "tests/test_root_scale.py",
    }  # fmt: skip
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in ("op_name", "OpName", "op-name") if word in text]
        assert "RootScale" in text or "root-scale" in text


@pytest.mark.parametrize("name", ["", "Upper", "two words", "1st", "a__b", "_a", "class", "a-b", "../a", "ä"])
def test_names_that_cannot_be(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(FlownetError) as caught:
        write_op_package(name, tmp_path, registry)
    assert caught.value.diagnostics[0].code == "bad-name"
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(FlownetError) as caught:
        write_op_package("softmax", tmp_path, registry)
    assert caught.value.diagnostics[0].code == "name-taken"


def test_a_folder_is_never_overwritten(registry: Registry, tmp_path: Path) -> None:
    write_op_package("root_scale", tmp_path, registry)
    with pytest.raises(FlownetError) as caught:
        write_op_package("root_scale", tmp_path, registry)
    assert caught.value.diagnostics[0].code == "folder-exists"


def test_the_one_file_is_a_plugin(registry: Registry, tmp_path: Path) -> None:
    folder, _ = write_op_package("root_scale", tmp_path, registry)
    own = Registry(entry_points=False)
    (plugin,) = own.load_directory(folder)
    assert plugin.problem is None
    assert plugin.brings == {"op": ["root_scale"]}


@pytest.mark.slow  # a real pip install, and the harness on two devices
def test_it_installs_passes_and_appears(environment: Environment, tmp_path: Path) -> None:
    made = environment.flownet("op", "new", "root_scale", "--out", tmp_path, "--json")
    assert made.returncode == 0, made.stderr
    folder = Path(json.loads(made.stdout)["folder"])
    environment.install(folder)
    listed = environment.flownet("plugins", "--json", cwd=tmp_path)
    brings = {plugin["name"]: plugin["brings"] for plugin in json.loads(listed.stdout)["plugins"]}
    assert brings["flownet-root-scale"] == {"op": ["root_scale"]}
    tested = environment.flownet("op", "test", "root_scale", "--json", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout
    reports = json.loads(tested.stdout)["reports"]
    assert reports[0]["device"] == "cpu"
    assert all(report["passed"] for report in reports)
    own = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests", cwd=folder)
    assert own.returncode == 0, own.stdout
    assert f"{len(reports) + 1} passed" in own.stdout  # the contract on each device, and a loop
