"""`hookspecs.py` is the plugin API: each hook is documented, there and in docs/plugins.md, and somebody implements it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from flownet import builtin, hookspecs
from flownet.registry import KINDS, Registry

ROOT = Path(__file__).parents[1]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("flownet_")}


def implemented_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in HOOKS}


def test_there_are_hooks() -> None:
    assert len(HOOKS) >= 15


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_a_spec_with_documentation(name: str) -> None:
    hook: Any = HOOKS[name]
    assert hasattr(hook, "flownet_spec"), "it has to be marked with @hookspec"
    text = inspect.getdoc(hook) or ""
    assert len(text.split()) >= 5
    for argument in inspect.signature(hook).parameters:
        assert f"`{argument}`" in text, f"{argument} is not explained"
    assert inspect.signature(hook).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_in_the_documentation(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_used_by_the_built_ins_or_a_plugin(name: str) -> None:
    """Importers wait for ONNX: until then the fixture that tests run is the only one that has them."""
    users = {"the built-ins"} if hasattr(builtin, name) else set()
    files = [
        *(ROOT / "plugins").glob("*/**/*.py"),
        ROOT / "tests/plugins/fixtures/everything/flownet_fixture_everything.py",
    ]
    users |= {str(path) for path in files if name in implemented_in(path)}
    assert users


def test_the_fixture_uses_every_hook() -> None:
    path = ROOT / "tests/plugins/fixtures/everything/flownet_fixture_everything.py"
    assert implemented_in(path) == set(HOOKS)


def test_kinds_and_hooks_agree() -> None:
    with_things = {name for name in HOOKS if not inspect.signature(HOOKS[name]).parameters}
    assert with_things == set(KINDS.values())


def test_the_built_ins_come_through_the_hooks() -> None:
    brings = Registry(entry_points=False).plugins["flownet"].brings
    assert {"op", "kernel", "initialiser", "schedule", "dataset", "augmentation", "device", "command"} <= set(brings)


def test_the_core_imports_no_plugin() -> None:
    packages = {path.stem for path in (ROOT / "plugins").glob("*/flownet_*.py")} | {
        path.parent.name for path in (ROOT / "plugins").glob("*/flownet_*/__init__.py")
    }
    assert len(packages) >= 4
    for path in (ROOT / "flownet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {module.partition(".")[0] for module in modules} & packages, f"{path} imports a plugin"
