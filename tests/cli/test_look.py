"""check, expand, describe, draw, schema, plugins: what they print for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import GRAPHS, document

BROKEN = """\
inputs: {image: float32[N, 1, 8, 8]}
nodes:
  - flatten
  - dense: {unit: 10}
  - sofmax
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    return tmp_path / "broken.yaml"


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_says_all_that_is_wrong_with_line_and_caret(run, broken: Path) -> None:
    result = run("check", broken)
    assert result.exit_code == 1
    assert f"--> {broken}:4:13" in result.stderr
    assert "4 |   - dense: {unit: 10}\n  |             ^^^^" in result.stderr
    assert "did you mean `units`?" in result.stderr
    assert "did you mean `softmax`" in result.stderr
    assert "errors" in result.stdout


def test_check_json_has_places(run, broken: Path) -> None:
    result = run("check", "--json", broken)
    assert result.exit_code == 1
    diagnostics = document(result)["diagnostics"]
    assert {"code", "message", "file", "line", "column", "help"} <= set(diagnostics[0])
    assert (str(broken), 4, 13) in [(d["file"], d["line"], d["column"]) for d in diagnostics]


def test_check_takes_many_files_and_fails_if_one_is_wrong(run, broken: Path, graph: Path) -> None:
    result = run("check", graph, broken)
    assert result.exit_code == 1
    assert f"{graph}: " in result.stdout
    assert "nothing is wrong" in result.stdout
    assert run("check", graph).exit_code == 0
    assert document(run("check", "--json", graph)) == {"diagnostics": []}


def test_check_names_a_file_that_is_not_there(run) -> None:
    result = run("check", "--json", "nowhere.yaml")
    assert result.exit_code == 1
    assert document(result)["diagnostics"][0]["file"] == "nowhere.yaml"


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02\xff\xfe binary", b"", b"[" * 20000, b"a: &x [*x, *x]\n", b"\xff\xfe"]
)
def test_files_that_are_no_graphs_are_mistakes_and_no_crashes(run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    result = run("check", tmp_path / "bad.yaml")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "flownet itself failed" not in result.output


def test_overrides_are_checked_too(run, graph: Path) -> None:
    assert run("check", graph, "--set", "train.epochs=5").exit_code == 0
    result = run("check", graph, "--set", "train.epohcs=5")
    assert result.exit_code == 1
    assert "did you mean `epochs`?" in result.stderr


# -- expand, schema, plugins -------------------------------------------------------------------------------------------


def test_expand_prints_a_graph_that_expands_to_itself(run, graph: Path, tmp_path: Path) -> None:
    first = run("expand", graph)
    assert first.exit_code == 0
    (tmp_path / "full.yaml").write_text(first.stdout)
    assert run("expand", tmp_path / "full.yaml").stdout == first.stdout


def test_expand_writes_a_file_and_json(run, graph: Path, tmp_path: Path) -> None:
    result = run("expand", graph, "-o", tmp_path / "full.yaml", "--set", "train.epochs=7")
    assert "wrote" in result.stdout
    assert "epochs: 7" in (tmp_path / "full.yaml").read_text()
    tree = document(run("expand", graph, "--json"))["graph"]
    assert [node["op"] for node in tree["nodes"]] == ["dense", "tanh", "dropout", "dense", "softmax"]


def test_schema_is_a_json_schema_that_the_graph_satisfies(run, graph: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = document(run("schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    tree = document(run("expand", graph, "--json"))["graph"]
    jsonschema.Draft202012Validator(schema).validate(tree)
    run("schema", "-o", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == schema


def test_plugins_lists_what_is_built_in(run) -> None:
    found = {plugin["name"]: plugin for plugin in document(run("plugins", "--json"))["plugins"]}
    assert "dense" in found["flownet"]["brings"]["op"]
    assert found["flownet"]["problem"] is None
    assert "flownet" in run("plugins").stdout


# -- describe ----------------------------------------------------------------------------------------------------------


def test_describe_counts_lenet_s_parameters_and_multiply_adds(run) -> None:
    found = document(run("describe", GRAPHS / "lenet5.yaml", "--json"))
    # by hand: 5·5·6+6, 5·5·6·16+16, 400·120+120, 120·84+84, 84·10+10
    assert found["parameters"] == 156 + 2416 + 48120 + 10164 + 850 == 61706
    assert found["trainable"] == 61706
    # outputs times what each sums: 28·28·6·25 + 10·10·16·150 + 400·120 + 120·84 + 84·10
    assert found["multiply_adds"] == 117600 + 240000 + 48000 + 10080 + 840
    nodes = {node["name"]: node for node in found["nodes"]}
    assert nodes["conv2d_1"]["type"] == "float32[N, 6, 28, 28]"
    assert nodes["conv2d_1"]["parameters"] == 156
    assert found["flops"] > 2 * found["multiply_adds"]


def test_describe_at_a_batch_multiplies_work_and_not_parameters(run) -> None:
    one, eight = (document(run("describe", GRAPHS / "lenet5.yaml", "--json", "--batch", n)) for n in (1, 8))
    assert eight["parameters"] == one["parameters"]
    assert eight["multiply_adds"] == 8 * one["multiply_adds"]
    assert eight["inference_bytes"] == 8 * one["inference_bytes"]
    # training keeps what backward needs: the outputs of tanh, the pools and the dense layers; besides, two gradients at most
    kept = 8 * 4 * (6 * 28 * 28 + 6 * 14 * 14 + 16 * 10 * 10 + 16 * 5 * 5 + 120 + 84 + 10)
    assert kept <= eight["training_bytes"] <= kept + 2 * 8 * 4 * 6 * 28 * 28


def test_describe_is_a_table_with_totals(run, graph: Path) -> None:
    text = run("describe", graph).stdout
    assert [line.split()[0] for line in text.splitlines()[2:8]] == [
        "dense_1",
        "tanh_1",
        "dropout_1",
        "logits",
        "probabilities",
        "total",
    ]
    assert "131 (524 B): 131 trainable, 0 frozen" in text  # 4·16+16 + 16·3+3


def test_describe_shares_and_freezes_count_once_and_apart(run, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "inputs: {x: 'float32[N, 3]'}\nnodes:\n"
        "  - dense: {units: 3, name: a, freeze: true}\n  - dense: {units: 3, share: a}\n  - dense: {units: 2}\n"
    )
    found = document(run("describe", tmp_path / "g.yaml", "--json"))
    assert (found["parameters"], found["trainable"]) == (12 + 8, 8)


def test_describe_asks_for_sizes_that_are_open(run, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("inputs: {x: 'float32[N, T, 4]'}\nnodes: [tanh]\n")
    result = run("describe", tmp_path / "g.yaml")
    assert result.exit_code == 1
    assert "`--size T=224`" in result.stderr
    assert (
        document(run("describe", tmp_path / "g.yaml", "--size", "T=5", "--json"))["inference_bytes"] == 128
    )  # 80, rounded up to lines


def test_describe_sums_up_blocks(run, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "inputs: {x: 'float32[N, 4]'}\nblocks:\n"
        "  pair:\n    inputs: [x]\n    nodes:\n      - dense: {in: x, units: 4}\n      - relu\n"
        "nodes:\n  - pair: {repeat: 3}\n  - dense: {units: 2}\n"
    )
    text = run("describe", tmp_path / "g.yaml", "--depth", 1).stdout
    assert "pair_1   6 nodes" in text


# -- draw --------------------------------------------------------------------------------------------------------------


def test_draw_as_text_shows_every_node_and_its_type(run, graph: Path) -> None:
    lines = run("draw", graph).stdout.splitlines()
    assert lines[0].split() == ["●", "x", "float32[N,", "4]"]
    assert lines[-1].split()[:3] == ["●", "softmax", "probabilities"]
    assert len(lines) == 6


@pytest.mark.parametrize("form", ["svg", "png", "dot"])
def test_draw_writes_pictures(run, graph: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"g.{form}"
    assert run("draw", graph, "-o", path).exit_code == 0
    data = path.read_bytes()
    if form == "svg":
        import xml.etree.ElementTree as ElementTree

        root = ElementTree.fromstring(data)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "dropout" in texts
        assert "float32[N, 3]" in texts
    elif form == "png":
        image = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        assert image.shape[0] > 400
        assert (image < 128).sum() > 500
    else:
        assert '"dense_1" -> "tanh_1";' in data.decode()


def test_draw_json_is_the_graph(run, graph: Path) -> None:
    found = document(run("draw", graph, "--json"))
    assert ["dense_1", "tanh_1"] in found["edges"]
    assert len(found["nodes"]) == 6
