"""Blocks and variables of other files; plugins that a file needs."""

from __future__ import annotations

from pathlib import Path

from flownet.language import check, load
from tests.language.small_registry import small_registry

GRAPH = "include: parts/blocks.yaml\ninputs: {x: 'float32[N, 4]'}\nnodes:\n  - wide: {units: $depth}\n"
BLOCKS = "include: [more.yaml]\nvars: {depth: 3}\nblocks:\n  wide:\n    args: {units: required}\n    nodes:\n      - dense: {units: '${units * factor}'}\n"


def lay(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "graph.yaml"


def test_paths_are_relative_to_the_including_file(tmp_path: Path) -> None:
    path = lay(tmp_path, graph=GRAPH, parts__blocks=BLOCKS, parts__more="vars: {factor: 2}\n")
    document = load(path, registry=small_registry())
    assert str(document.graph.values["wide_1/dense_1"].type) == "float32[N, 6]"
    assert document.vars == {"factor": 2, "depth": 3}
    assert document.graph.name == "graph"


def test_overrides_reach_the_variables_of_included_files(tmp_path: Path) -> None:
    path = lay(tmp_path, graph=GRAPH, parts__blocks=BLOCKS, parts__more="vars: {factor: 2}\n")
    document = load(path, registry=small_registry(), overrides=["vars.factor=5"])
    assert str(document.graph.values["wide_1/dense_1"].type) == "float32[N, 15]"


def test_a_file_that_two_files_include_is_read_once(tmp_path: Path) -> None:
    graph = GRAPH.replace("include: parts/blocks.yaml", "include: [parts/blocks.yaml, parts/more.yaml]")
    path = lay(tmp_path, graph=graph, parts__blocks=BLOCKS, parts__more="vars: {factor: 2}\n")
    assert load(path, registry=small_registry()).vars["factor"] == 2


def test_a_mistake_in_an_included_file_is_shown_there(tmp_path: Path) -> None:
    path = lay(tmp_path, graph=GRAPH, parts__blocks=BLOCKS, parts__more="vars: {factor: [}\n")
    _, found = check(path, registry=small_registry())
    syntax = next(d for d in found if d.code == "yaml-syntax")
    assert syntax.span.file.name.endswith("parts/more.yaml")
    assert any("parts/blocks.yaml:1:11" in note for note in syntax.notes)


PLUGIN = """
from dataclasses import dataclass
from flownet import ElementwiseOp, hookimpl

@dataclass(frozen=True)
class Cube(ElementwiseOp):
    name = "cube"
    expression = "x * x * x"
    derivative = {"x": "3 * x * x * dy"}

@hookimpl
def flownet_ops():
    return [Cube]
"""


def test_a_local_plugin_runs_only_when_it_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "my_op.py").write_text(PLUGIN)
    path = lay(tmp_path, graph="plugins: [./my_op.py]\ninputs: {x: 'float32[N, 4]'}\nnodes: [cube]\n")
    asked = []
    _, found = check(path, registry=small_registry(), confirm=lambda p: asked.append(p) or False)
    assert asked == [tmp_path / "my_op.py"]
    assert "untrusted-plugin" in [d.code for d in found]
    document = load(path, registry=small_registry(), trust_plugins=True)
    assert document.plugins == ("./my_op.py",)
    assert document.graph.nodes["cube_1"].op.name == "cube"


def test_a_local_plugin_that_fails_is_a_mistake_with_a_place(tmp_path: Path) -> None:
    (tmp_path / "my_op.py").write_text("1 / 0\n")
    path = lay(tmp_path, graph="plugins: ./my_op.py\ninputs: {x: 'float32[N, 4]'}\nnodes: [relu]\n")
    _, (diagnostic,) = check(path, registry=small_registry(), trust_plugins=True)
    assert diagnostic.code == "broken-plugin"
    assert "ZeroDivisionError" in diagnostic.message
    assert diagnostic.span.column == 10
