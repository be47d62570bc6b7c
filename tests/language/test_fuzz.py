"""Whatever is done to a file, what comes is a document or diagnostics, never a traceback, and soon."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_expand import BLOCKS, TRAIN

from flownet.language import check, expand, load
from flownet.language.reading import read_text
from flownet.language.report import Report
from flownet.language.tree import plain
from tests.language.small_registry import small_registry

TEXT = BLOCKS + TRAIN
TREE = plain(read_text(TEXT, "t", Report()))
REGISTRY = small_registry()
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = ["$", "${", "}", "{", "[", "]", ":", " ", "\n", "\n  ", "- ", "&a", "*a", "!x", "#", "'", '"', "|", ">", "?", "%", "@", "\t", "\0", "\ufeff", "é",
          "0", "-1", "1e999", "true", "null", "x", "in", "op", "name", "repeat", "train", "float32[N]", "..", "/", "9**9**9", "\u2028", "\ud800"]  # fmt: skip


def told(source: object) -> None:
    document, diagnostics = check(source, registry=REGISTRY)
    assert (document is None) == any(d.severity == "error" for d in diagnostics)
    for diagnostic in diagnostics:
        assert str(diagnostic)
    if document is not None:
        full = expand(document)
        assert expand(load(full, registry=REGISTRY)) == full


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4)
)
def test_mutated_texts(edits: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    told(text + "\n")


PATHS: list[tuple] = []


def _walk(tree: object, path: tuple) -> None:
    PATHS.append(path)
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        _walk(value, (*path, key))


_walk(TREE, ())
LEAF = st.sampled_from(
    [None, True, 0, -1, 3, 1.5, float("nan"), float("inf"), 10**30, "", "x", "relu", "dense", "residual", "stage", "logits", "$width", "${width", "${1/0}",
     "pool.indices", "stage/0", "stage/9", "a.b.c", "float32[N]", "same", "he_normal", [], {}, [[]], {"op": "dense"}, {"in": "x"}, {"relu": {}}, ["x", "x", "x"]]
)  # fmt: skip
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["in", "name", "x", "units", "op"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@QUICK
@given(
    st.lists(
        st.tuples(st.sampled_from(PATHS), st.sampled_from(["replace", "delete", "rename"]), VALUE),
        min_size=1,
        max_size=3,
    )
)
def test_mutated_trees(edits: list[tuple[tuple, str, object]]) -> None:
    tree = json.loads(json.dumps(TREE))
    for path, kind, value in edits:
        if not path:
            continue
        owner = tree
        try:
            for key in path[:-1]:
                owner = owner[key]
            if kind == "replace":
                owner[path[-1]] = value
            elif kind == "delete":
                del owner[path[-1]]
            elif isinstance(owner, dict):
                owner[f"{path[-1]}x"] = owner.pop(path[-1])
        except (KeyError, IndexError, TypeError):
            continue  # an edit above took the place away
    told(tree)


@QUICK
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    told(text + "\n")


@QUICK
@given(st.text(alphabet="abcnodesvartin.0123=[]{}:, $'\"-", max_size=40))
def test_any_override(text: str) -> None:
    check(TEXT, registry=REGISTRY, overrides=[text])
