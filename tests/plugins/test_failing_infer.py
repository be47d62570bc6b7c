"""A plugin's op whose `infer` is wrong: `check` says of which op, from which plugin, at which line of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flownet.errors import Diagnostic
from flownet.language import check
from flownet.registry import Registry

OP = '''
from dataclasses import dataclass
import flownet

@dataclass(frozen=True)
class Pair(flownet.Op):
    """Its input, twice."""

    name = "pair"
    outputs = ("a", "b")

    def infer(self, x):
        {body}

    def forward(self, x):
        return x, x

@flownet.hookimpl
def flownet_ops():
    return [Pair]
'''
GRAPH = "inputs: {x: 'float32[N, 2]'}\nnodes:\n  - pair\noutputs: [pair_1.b]\n"


def told(tmp_path: Path, body: str) -> list[Diagnostic]:
    (tmp_path / "mine.py").write_text(OP.replace("{body}", body))
    registry = Registry(entry_points=False)
    registry.load_directory(tmp_path)
    return check(GRAPH, registry=registry)[1]


@pytest.mark.parametrize(
    ("body", "gives"),
    [
        ("return x", "float32[N, 2]"),
        ("return x, x, x", "float32[N, 2], float32[N, 2], float32[N, 2]"),
        ("return ()", "nothing"),
        ("pass", "None"),
        ("return x, 3", "float32[N, 2], 3"),
    ],
)
def test_what_is_no_type_for_each_output(tmp_path: Path, body: str, gives: str) -> None:
    (diagnostic,) = told(tmp_path, body)
    assert diagnostic.code == "op-failed"
    assert diagnostic.message == f"`infer` of `pair` gives {gives}, where the op has the outputs `a`, `b`"
    assert diagnostic.span is not None
    assert diagnostic.span.line == 3
    assert "it is at mine.py:12" in diagnostic.notes
    assert "the op comes from `mine`" in diagnostic.notes


@pytest.mark.parametrize(
    ("body", "error"),
    [("return x.nothing", "AttributeError: 'TensorType'"), ("return x.with_shape(*x.shape.x), x", "AttributeError: 'tuple'")],
)  # fmt: skip
def test_what_raises(tmp_path: Path, body: str, error: str) -> None:
    (diagnostic,) = told(tmp_path, body)
    assert diagnostic.message.startswith(f"`pair` fails: {error}")
    assert "raised in `infer` of mine.py:13" in diagnostic.notes
    assert "the op comes from `mine`" in diagnostic.notes
    assert "flownet op test pair" in diagnostic.help
