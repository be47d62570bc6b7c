"""YAML 1.2 and JSON become trees with the place of everything; nothing in a file can hang, crash or run code."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from flownet.errors import FlownetError
from flownet.language import check
from flownet.language.reading import MAX_BYTES, read_file, read_text
from flownet.language.report import Report
from flownet.language.tree import Mapping, plain
from tests.language.small_registry import small_registry


def values(text: str) -> object:
    report = Report()
    tree = read_text(text, "t.yaml", report)
    assert not report.all
    return plain(tree)


# the examples of YAML 1.2.2's core schema (section 10.3.2), and what YAML 1.1 readers get wrong
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("-.5", -0.5), ("5.", 5.0), ("010", 10), ("0o10", 8), ("0x1F", 31), ("+7", 7),
        (".inf", float("inf")), ("-.INF", float("-inf")), ("on", "on"), ("off", "off"), ("yes", "yes"), ("No", "No"), ("y", "y"),
        ("true", True), ("False", False), ("tRUE", "tRUE"), ("null", None), ("~", None), ("", None), ("1_000", "1_000"),
        ("12:30:45", "12:30:45"), ("2001-12-14", "2001-12-14"), ("'10'", "10"), ('"1e3"', "1e3"), ("0b11", "0b11"), ("-", "-"),
        (".", "."), ("1e", "1e"), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    if text == "-":
        text = '"-"'
    found = values(f"a: {text}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert values("a: .nan")["a"] != values("a: .nan")["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: [dense: {units: ${2 * width}}]", {"nodes": [{"dense": {"units": "${2 * width}"}}]}),
        ("{a: ${min(x, 3)}, b: 2}", {"a": "${min(x, 3)}", "b": 2}),
        ("inputs: {x: float32[N, 3], y: int64[]}", {"inputs": {"x": "float32[N, 3]", "y": "int64[]"}}),
        ("inputs: {x: float32[N, ${a[0]}]}", {"inputs": {"x": "float32[N, ${a[0]}]"}}),
        ("a: ${w} # 3", {"a": "${w}"}),
        ("a: \"${d['k']}\"", {"a": "${d['k']}"}),
        ("a: float32[N,   # 3", None),
    ],
)  # fmt: skip
def test_expressions_and_types_need_no_quotes_in_braces(text: str, expected: object) -> None:
    if expected is None:
        assert values(text) == {"a": "float32[N,"}
    else:
        assert values(text) == expected


def test_places_count_from_one_and_end_behind_the_last_character() -> None:
    tree = read_text("a: 1\nbig:\n  - {x: ${w}, y: 'two'}\n", "t.yaml", Report())
    item = tree.get("big").items[0]
    assert item.key("x").place == (3, 6, 3, 7)
    assert item.get("x").place == (3, 9, 3, 13)
    assert item.get("y").place == (3, 18, 3, 23)
    assert str(item.get("y").span) == "t.yaml:3:18"


def test_json_is_read_by_the_same_reader() -> None:
    data = {
        "inputs": {"x": "float32[N, 2]"},
        "nodes": ["relu", {"dense": {"units": 1e3, "bias": None}}],
        "a": '\u00e9\n\t"\\',
    }
    assert values(json.dumps(data)) == data
    assert values(json.dumps(data, indent=2)) == data


def test_aliases_are_the_subtree_of_their_anchor() -> None:
    assert values("a: &a {x: [1, 2]}\nb: *a\nc: [*a, *a]") == {
        "a": {"x": [1, 2]}, "b": {"x": [1, 2]}, "c": [{"x": [1, 2]}] * 2,
    }  # fmt: skip


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: 1\r\nb:\r\n  - 2\r\n".encode())
    assert plain(read_file(path, Report())) == {"a": 1, "b": [2]}


@pytest.mark.parametrize(
    "text", ["[" * 10_000, "- " * 10_000, "{a: " * 10_000, "".join(" " * i + "a:\n" for i in range(2000))]
)
def test_deep_nesting_is_an_error_and_not_a_crash(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(FlownetError) as error:
        read_text(text, "t.yaml", Report())
    assert error.value.diagnostics[0].code == "nested-too-deep"
    assert time.perf_counter() - started < 5


def test_a_dict_of_itself_is_an_error() -> None:
    graph: dict = {"inputs": {}}
    graph["inputs"]["x"] = graph
    document, found = check(graph, registry=small_registry())
    assert document is None
    assert [d.code for d in found] == ["nested-too-deep"]


def test_a_dict_with_what_no_file_can_hold_is_an_error() -> None:
    document, found = check(
        {"inputs": {"x": "float32[N]"}, "nodes": [{"dense": {"units": object()}}]}, registry=small_registry()
    )
    assert document is None
    assert [d.code for d in found] == ["bad-value"]


def codes(path: Path) -> list[str]:
    return [d.code for d in check(path, registry=small_registry())[1]]


def test_files_that_are_no_graph_files(tmp_path: Path) -> None:
    assert codes(tmp_path / "absent.yaml") == ["no-file"]
    assert codes(tmp_path) == ["unreadable-file"]
    (tmp_path / "weights.yaml").write_bytes(bytes(range(256)) * 100)
    assert codes(tmp_path / "weights.yaml") == ["not-text"]
    (tmp_path / "latin.yaml").write_bytes("inputs: {größe: 3}".encode("latin-1"))
    assert codes(tmp_path / "latin.yaml") == ["not-text"]
    (tmp_path / "empty.yaml").write_text("")
    assert codes(tmp_path / "empty.yaml") == ["empty-file"]
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(50 << 20)
    started = time.perf_counter()
    assert codes(tmp_path / "big.yaml") == ["file-too-large"]
    assert time.perf_counter() - started < 1
    assert MAX_BYTES < 50 << 20


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    assert codes(path) == ["unreadable-file"]


def test_a_misspelt_path_gets_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "lenet5.yaml").write_text("a: 1")
    (diagnostic,) = check(tmp_path / "lenet.yaml", registry=small_registry())[1]
    assert "`lenet5.yaml`" in diagnostic.help


def test_mappings_keep_their_order() -> None:
    tree = read_text("b: 1\na: 2\nc: 3", "t.yaml", Report())
    assert isinstance(tree, Mapping)
    assert list(tree.pairs) == ["b", "a", "c"]
