"""What a file means: nodes, blocks, repeats, sharing, types; compared by structure, and by hand-worked names and shapes."""

from __future__ import annotations

from typing import Any

import pytest

from flownet import initialisers
from flownet.language import check, load
from flownet.language.document import Document
from tests.language.small_registry import small_registry

X = "inputs: {x: float32[N, 8]}\n"
IMAGE = "inputs: {image: float32[N, 1, 8, 8]}\n"


def read(text: str, **arguments: Any) -> Document:
    return load(text, registry=small_registry(), **arguments)


def types(document: Document) -> dict[str, str]:
    return {name: str(document.graph.values[name].type) for name in document.graph.nodes}


def inputs(document: Document, node: str) -> dict[str, str]:
    return dict(document.graph.nodes[node].inputs)


def test_the_three_forms_mean_the_same() -> None:
    short = read(X + "nodes:\n  - dense: {units: 3}\n  - relu\n")
    mixed = read(X + "nodes:\n  - dense:\n      units: 3\n  - relu:\n")
    full = read(X + "nodes:\n  - {name: dense_1, op: dense, in: x, units: 3}\n  - {op: relu}\n")
    assert str(short.graph) == str(mixed.graph) == str(full.graph)


def test_a_dict_and_json_mean_the_same_as_yaml() -> None:
    graph = {"inputs": {"x": "float32[N, 8]"}, "nodes": [{"dense": {"units": 3}}, "relu"]}
    text = '{"inputs": {"x": "float32[N, 8]"}, "nodes": [{"dense": {"units": 3}}, "relu"]}'
    assert str(load(graph, registry=small_registry()).graph) == str(read(text).graph)
    assert load(graph, registry=small_registry()).source == "<dict>"


def test_a_mistake_in_a_dict_is_shown_in_its_text() -> None:
    _, (diagnostic,) = check(
        {"inputs": {"x": "float32[N, 8]"}, "nodes": [{"dense": {"unit": 3}}]}, registry=small_registry()
    )
    assert diagnostic.code == "unknown-attribute"
    assert "unit" in str(diagnostic)
    assert "<dict>:" in str(diagnostic)


def test_automatic_names_count_the_nodes_of_an_op() -> None:
    text = X + "nodes:\n  - dense: {units: 3}\n  - dense: {name: mine, units: 3}\n  - relu\n  - dense: {units: 3}\n"
    assert list(read(text).graph.nodes) == ["dense_1", "mine", "relu_1", "dense_3"]


def test_a_node_takes_the_one_above_and_the_first_the_only_input() -> None:
    document = read(X + "nodes:\n  - relu\n  - dense: {units: 3}\n")
    assert inputs(document, "relu_1") == {"x": "x"}
    assert inputs(document, "dense_1") == {"x": "relu_1", "weight": "dense_1.weight", "bias": "dense_1.bias"}
    assert document.graph.outputs == {"dense_1": "dense_1"}


def test_in_takes_a_value_a_list_or_a_mapping() -> None:
    document = read(X + "nodes:\n  - relu: {name: a}\n  - add: {in: [a, x]}\n  - add: {in: {b: a, a: x}}\n")
    assert inputs(document, "add_1") == {"a": "a", "b": "x"}
    assert inputs(document, "add_2") == {"a": "x", "b": "a"}


def test_a_mapping_without_the_first_input_takes_the_node_above_for_it() -> None:
    text = IMAGE + "nodes:\n  - max_pool: {name: pool}\n  - relu\n  - max_unpool: {in: {indices: pool.indices}}\n"
    assert inputs(read(text), "max_unpool_1") == {"x": "relu_1", "indices": "pool.indices"}


def test_a_node_may_use_one_below_it() -> None:
    document = read(X + "nodes:\n  - add: {name: sum, in: [late, x]}\n  - relu: {name: late, in: x}\noutputs: [sum]\n")
    assert inputs(document, "sum") == {"a": "late", "b": "x"}
    assert [node.name for node in document.graph.topological()] == ["late", "sum"]


def test_variadic_inputs() -> None:
    document = read(X + "nodes:\n  - relu\n  - concat: {in: [x, relu_1, x]}\n")
    assert inputs(document, "concat_1") == {"x0": "x", "x1": "relu_1", "x2": "x"}
    assert types(document)["concat_1"] == "float32[N, 24]"


def test_outputs_by_name() -> None:
    text = IMAGE + "nodes:\n  - max_pool: {name: pool}\noutputs: {small: pool, where: pool.indices}\n"
    assert read(text).graph.outputs == {"small": "pool", "where": "pool.indices"}


BLOCK = """
blocks:
  residual:
    args: {units: 8, activation: relu}
    inputs: [x]
    nodes:
      - dense: {units: $units}
      - $activation
      - dense: {name: body, units: $units}
      - add: {in: [body, x]}
"""


def test_a_block_is_an_op_without_python() -> None:
    document = read(BLOCK + X + "nodes:\n  - residual: {name: stage}\n")
    assert list(document.graph.nodes) == ["stage/dense_1", "stage/relu_1", "stage/body", "stage/add_1"]
    assert inputs(document, "stage/add_1") == {"a": "stage/body", "b": "x"}
    assert document.graph.outputs == {"stage/add_1": "stage/add_1"}


def test_an_op_may_be_an_argument() -> None:
    document = read(BLOCK + X + "nodes:\n  - residual: {activation: leaky_relu}\n")
    assert "residual_1/leaky_relu_1" in document.graph.nodes


def test_repeat_chains_copies_below_one_name() -> None:
    document = read(BLOCK + X + "nodes:\n  - residual: {name: stage, repeat: 3}\n  - relu\n")
    assert inputs(document, "stage/0/dense_1")["x"] == "x"
    assert inputs(document, "stage/1/dense_1")["x"] == "stage/0/add_1"
    assert inputs(document, "stage/2/dense_1")["x"] == "stage/1/add_1"
    assert inputs(document, "relu_1") == {"x": "stage/2/add_1"}


def test_repeat_of_none_is_the_value_itself() -> None:
    document = read(X + "vars: {n: 0}\nnodes:\n  - relu: {name: a, repeat: $n}\n  - dense: {in: a, units: 3}\n")
    assert inputs(document, "dense_1")["x"] == "x"


def test_the_index_counts_from_zero_and_may_have_a_name() -> None:
    document = read(
        X
        + "nodes:\n  - dense: {units: '${8 * 2 ** index}', repeat: 3}\n  - dense: {units: '${i + 1}', repeat: 2, index: i}\n"
    )
    assert types(document) == {
        "dense_1/0": "float32[N, 8]", "dense_1/1": "float32[N, 16]", "dense_1/2": "float32[N, 32]",
        "dense_2/0": "float32[N, 1]", "dense_2/1": "float32[N, 2]",
    }  # fmt: skip


def test_a_path_reaches_into_a_block_and_into_a_repetition() -> None:
    text = BLOCK + X + "nodes:\n  - residual: {name: stage, repeat: 2}\noutputs: [stage/0/body, stage/1, stage]\n"
    assert read(text).graph.outputs == {
        "stage/0/body": "stage/0/body",
        "stage/1": "stage/1/add_1",
        "stage": "stage/1/add_1",
    }


def test_a_block_with_several_inputs_and_outputs() -> None:
    text = """
blocks:
  swap:
    inputs: [a, b]
    nodes:
      - relu: {name: left, in: b}
      - relu: {name: right, in: a}
    outputs: [left, right]
inputs: {p: 'float32[N, 2]', q: 'float32[N, 3]'}
nodes:
  - swap: {name: s, in: {b: q, a: p}}
  - dense: {name: d, in: s.right, units: 1}
  - relu: {name: e, in: s}
outputs: [d, e]
"""
    document = read(text)
    assert inputs(document, "d")["x"] == "s/right"
    assert types(document)["e"] == "float32[N, 3]"


def test_blocks_within_blocks_and_arguments_that_depend_on_others() -> None:
    text = (
        """
blocks:
  inner:
    args: {units: required, wide: "${2 * units}"}
    nodes:
      - dense: {units: $wide}
  outer:
    args: [units]
    nodes:
      - inner: {units: $units, repeat: 2}
      - inner: {units: 1, wide: 5}
"""
        + X
        + "nodes:\n  - outer: {units: 4}\n"
    )
    assert types(read(text)) == {
        "outer_1/inner_1/0/dense_1": "float32[N, 8]", "outer_1/inner_1/1/dense_1": "float32[N, 8]", "outer_1/inner_2/dense_1": "float32[N, 5]",
    }  # fmt: skip


def test_share_uses_the_other_nodes_parameters() -> None:
    document = read(X + "nodes:\n  - dense: {name: a, units: 8}\n  - dense: {name: b, units: 8, share: a}\n")
    assert inputs(document, "b") == {"x": "a", "weight": "a.weight", "bias": "a.bias"}
    assert [value.name for value in document.graph.parameters] == ["a.weight", "a.bias"]


def test_share_of_a_node_that_stands_below() -> None:
    text = (
        X
        + "nodes:\n  - dense: {name: b, in: x, units: 8, share: a}\n  - dense: {name: a, in: x, units: 8}\noutputs: [a, b]\n"
    )
    assert inputs(read(text), "b")["weight"] == "a.weight"


def test_share_of_a_block_goes_node_by_node() -> None:
    document = read(BLOCK + X + "nodes:\n  - residual: {name: a}\n  - residual: {name: b, share: a}\n")
    assert inputs(document, "b/body")["weight"] == "a/body.weight"
    assert len(document.graph.parameters) == 4


def test_freeze_holds_for_all_of_a_block() -> None:
    document = read(BLOCK + X + "nodes:\n  - residual: {name: a, freeze: true}\n  - dense: {units: 2}\n")
    assert {value.name for value in document.graph.parameters if value.trainable} == {"dense_1.weight", "dense_1.bias"}


def test_init_by_name_by_mapping_and_by_parameter() -> None:
    text = X + (
        "nodes:\n  - dense: {name: a, units: 8, init: he_normal}\n  - dense: {name: b, units: 8, init: {normal: {std: 0.5}}}\n"
        "  - dense: {name: c, units: 8, init: {weight: {constant: {value: 2}}, bias: ones}}\n"
    )
    values = read(text).graph.values
    assert values["a.weight"].initial.start == initialisers.HeNormal()
    assert values["a.bias"].initial.start == "zeros"
    assert values["b.weight"].initial.start == initialisers.Normal(std=0.5)
    assert values["c.weight"].initial.start == initialisers.Constant(2.0)
    assert values["c.bias"].initial.start == initialisers.Ones()


def test_device_is_kept_with_the_node() -> None:
    assert read(X + "nodes:\n  - relu: {device: cpu}\n").graph.nodes["relu_1"].device == "cpu"


def test_sizes_are_numbers_symbols_and_expressions() -> None:
    document = read(
        "vars: {s: 4}\ninputs: {a: 'float32[N, 3, $s, ${2*s}]', b: 'float64[H*W, (H - 3)//2]', c: 'int64[]'}\nnodes:\n  - relu: {in: a}\n"
    )
    values = {value.name: str(value.type) for value in document.graph.inputs}
    assert values["a"] == "float32[N, 3, 4, 8]"
    assert values["c"] == "int64[]"
    assert str(document.graph.values["b"].type.bind({"H": 9, "W": 2})) == "float64[18, 3]"


def test_variables_may_stand_in_any_order() -> None:
    document = read(
        "vars: {b: '${a * 2}', a: 3, names: [relu, $b]}\n" + X + "nodes:\n  - dense: {units: $b}\n  - '${names[0]}'\n"
    )
    assert document.vars == {"b": 6, "a": 3, "names": ["relu", 6]}
    assert types(document) == {"dense_1": "float32[N, 6]", "relu_1": "float32[N, 6]"}


def test_every_node_knows_where_it_was_written() -> None:
    document = read(BLOCK.lstrip() + X + "nodes:\n  - residual: {name: stage, repeat: 2}\n")
    origin = document.graph.nodes["stage/1/body"].origin
    assert (origin.span.line, origin.span.column) == (8, 9)
    assert origin.stack == (
        "in block `residual`, used as `stage/1` at <text>:12:5", "in repetition 2 of 2 of `stage`, where `index` is 1",
    )  # fmt: skip


def test_causes_are_told_and_victims_are_not() -> None:
    _, found = check(
        X + "nodes:\n  - dense: {units: many}\n  - relu\n  - dense: {units: 3}\n  - dense: {unitz: 3}\n",
        registry=small_registry(),
    )
    assert [(d.code, d.span.line) for d in found] == [("bad-attribute", 3), ("unknown-attribute", 6)]


def test_a_mistake_in_a_block_is_told_once() -> None:
    block = "blocks:\n  b:\n    nodes:\n      - dense: {units: 0}\n"
    _, found = check(block + X + "nodes:\n  - b: {repeat: 18}\n", registry=small_registry())
    assert len(found) == 1


def test_an_op_that_fails_in_its_own_code_is_no_traceback() -> None:
    _, (diagnostic,) = check("inputs: {x: float32[N]}\nnodes:\n  - max_pool\n", registry=small_registry())
    assert diagnostic.code == "op-failed"
    assert diagnostic.span.line == 3


@pytest.mark.parametrize("unit", ["  - dense: {units: 8}\n", "  - relu\n"])
def test_ten_thousand_nodes_load(unit: str) -> None:  # how fast, benchmarks/overhead.py measures
    document = read(X + "nodes:\n" + unit * 10_000)
    assert len(document.graph.nodes) == 10_000


def test_a_chain_of_ten_thousand_forward_references_and_repeats() -> None:
    text = (
        X
        + "nodes:\n"
        + "".join(f"  - relu: {{name: n{i}, in: n{i + 1}}}\n" for i in range(3000))
        + "  - relu: {name: n3000, in: x}\noutputs: [n0]\n"
    )
    assert len(read(text).graph.nodes) == 3001
    assert len(read(X + "nodes:\n  - relu: {repeat: 10000}\n").graph.nodes) == 10_000
    assert not read(X + "nodes:\n" + "  - relu: {repeat: 0}\n" * 3000 + "  - relu\n").warnings


def test_a_reserved_key_that_looks_like_a_missing_attribute_hides_nothing() -> None:
    _, (diagnostic,) = check(X + "nodes:\n  - dense: {init: he_normal}\n", registry=small_registry())
    assert diagnostic.code == "missing-attribute"
