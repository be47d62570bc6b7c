"""The JSON Schema accepts what loads, and rejects misspelt ops, attributes, options and keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_expand import BLOCKS, TRAIN

from flownet.language import expand, load, schema
from flownet.language.reading import read_file, read_text
from flownet.language.report import Report
from flownet.language.tree import plain
from flownet.registry import default_registry
from tests.language.small_registry import small_registry

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator():
    made = schema(small_registry())
    jsonschema.Draft202012Validator.check_schema(made)
    json.dumps(made)
    return jsonschema.Draft202012Validator(made)


def tree(text: str) -> object:
    return plain(read_text(text, "t", Report()))


HEAD = "inputs: {x: 'float32[N, 8]'}\nnodes:\n"


@pytest.mark.parametrize(
    "text",
    [
        BLOCKS, BLOCKS + TRAIN, HEAD + "  - relu\n  - relu:\n  - {op: dense, units: 3, name: a}\n",
        HEAD + "  - dense: {units: $w, bias: '${w > 3}', in: {x: x}, repeat: 3, index: i, share: a, freeze: true, device: cpu}\n",
        HEAD + "  - conv2d: {channels: 3, kernel: [3, 3], padding: same}\n  - conv2d: {channels: 3, kernel: 3, padding: 1}\n",
        HEAD + "  - dense: {units: 3, init: he_normal}\n  - dense: {units: 3, init: {normal: {std: 0.1}}}\n  - dense: {units: 3, init: {bias: ones}}\n",
    ],
)  # fmt: skip
def test_good_files_pass(validator, text: str) -> None:
    assert [error.message for error in validator.iter_errors(tree(text))] == []


def test_the_full_form_passes(validator) -> None:
    full = expand(load(BLOCKS + TRAIN, registry=small_registry()))
    assert [error.message for error in validator.iter_errors(tree(full))] == []


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "  - rellu\n", HEAD + "  - dense: {unit: 3}\n", HEAD + "  - dense: {units: many}\n", HEAD + "  - dense\n  - dense: {}\n",
        HEAD + "  - {op: dense, unit: 3}\n", HEAD + "  - {op: dence, units: 3}\n", HEAD + "  - dense: {units: 3}\n    name: a\n",
        HEAD + "  - conv2d: {channels: 3, kernel: 3, padding: sane}\n", HEAD + "  - conv2d: {channels: 3, kernel: [3, 3, 3]}\n",
        HEAD + "  - relu\ntrian: {}\n", HEAD + "  - relu\ntrain: {loss: a, optimizer: sdg}\n",
        HEAD + "  - relu\ntrain: {loss: a, optimizer: {sgd: {rate: 3}}}\n", HEAD + "  - relu\ntrain: {loss: a, optimizer: sgd, epoch: 3}\n",
        HEAD + "  - relu\ntrain: {loss: a, optimizer: sgd, data: toi}\n", HEAD + "  - relu\ntrain: {loss: a, optimizer: sgd, data: {dataset: toy, sise: 3}}\n",
        HEAD + "  - relu\ntrain: {loss: a, optimizer: sgd, data: {dataset: toy, augment: [flop]}}\n", HEAD + "  - relu\ntrain: {loss: a, optimizer: sgd, clip: {nrm: 3}}\n",
        "nodes: [relu]\n", "inputs: {x: 3}\nnodes: [relu]\n", HEAD + "  - dense: {units: 3, init: he_norml}\n", "flownet: 2\n" + HEAD + "  - relu\n",
    ],
)  # fmt: skip
def test_misspelt_files_fail(validator, text: str) -> None:
    assert list(validator.iter_errors(tree(text)))


GRAPHS = sorted((ROOT / "graphs").rglob("*.yaml"))


@pytest.mark.parametrize("path", [p for p in GRAPHS if p.parent.name == "graphs"], ids=lambda p: p.stem)
def test_every_graph_of_the_zoo_passes(path: Path) -> None:
    made = schema(default_registry())
    errors = jsonschema.Draft202012Validator(made).iter_errors(plain(read_file(path, Report())))
    assert [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in errors] == []


def test_editors_get_the_docstrings() -> None:
    found = schema(small_registry())["$defs"]["op.cross_entropy"]
    assert found["description"] == "Softmax and the negative logarithm of the target's probability."
