"""docs/errors.md explains every code that anything in flownet can give, with an example, and no code twice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flownet.registry import KINDS

ROOT = Path(__file__).parents[2]
INDEX = (ROOT / "docs" / "errors.md").read_text()
CODE = re.compile(r"[a-z]+(-[a-z]+)+|cycle")
SOURCES = {"of", "error", "warning", "Diagnostic"}

# codes that are put together: f"unknown-{kind}" and the like
COMPOSED = {
    *(f"unknown-{kind}" for kind in KINDS), "unknown-optimizer", "bad-loss", "bad-metric",
    *(f"{wrong}-{noun}" for wrong in ("unknown", "missing", "bad") for noun in ("attribute", "option")),
}  # fmt: skip


def raised(path: Path) -> Iterator[str]:
    """The codes that a module's calls of `FlownetError.of`, `Diagnostic` and `report.error` name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in SOURCES and isinstance(node.args[0].value, str) and CODE.fullmatch(node.args[0].value):
            yield node.args[0].value


MODULES = sorted((ROOT / "flownet").rglob("*.py"))


def test_codes_are_found_at_all() -> None:
    found = {code for path in MODULES for code in raised(path)}
    assert {"yaml-syntax", "unknown-op", "shape-mismatch", "cycle", "unused-node"} <= found


@pytest.mark.parametrize("code", sorted({code for path in MODULES for code in raised(path)} | COMPOSED))
def test_the_index_explains(code: str) -> None:
    sections = re.findall(rf"^### `{code}`\n\n(.+?)(?=^###? |\Z)", INDEX, re.MULTILINE | re.DOTALL)
    assert len(sections) == 1, f"docs/errors.md needs one section on `{code}`"
    assert "```" in sections[0], f"the section on `{code}` needs an example"


def test_every_code_of_the_golden_files_is_in_the_index() -> None:
    golden = (Path(__file__).parent / "mistakes").glob("*.txt")
    codes = {
        code for path in golden for code in re.findall(r"^(?:error|warning)\[(.+?)\]", path.read_text(), re.MULTILINE)
    }
    assert not {code for code in codes if f"### `{code}`\n" not in INDEX}
