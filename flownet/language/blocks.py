"""`blocks:` — an op without Python: arguments, inputs, nodes, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flownet.errors import near_names
from flownet.language.node_forms import RESERVED
from flownet.language.report import Report
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Sequence, Tree, written

__all__ = ["Block", "read_block"]

_KEYS = ("args", "inputs", "nodes", "outputs", "doc")


@dataclass(frozen=True, slots=True)
class Block:
    """A declared block.

    args:    argument -> its default, None for one that is required
    names:   the variables that its expressions see besides
    outputs: output -> the value inside; empty when the last node is the only output
    """

    name: str
    at: Scalar
    args: Mapping[str, Tree | None]
    inputs: tuple[str, ...]
    nodes: tuple[Tree, ...]
    outputs: Mapping[str, Scalar]
    names: Mapping[str, Any]


def read_block(key: Scalar, tree: Tree, names: Mapping[str, Any], report: Report) -> Block | None:
    """The block that stands behind `key`; None after a report."""
    if not key.text.replace("-", "_").isidentifier():
        report.error(
            "bad-name", f"`{key.text}` cannot be the name of a block", key, help="take letters, digits and `_`"
        )
        return None
    if not isinstance(tree, TreeMapping):
        help = f"write `{key.text}: {{args: …, inputs: [x], nodes: […]}}`"
        report.error("bad-block", f"the block `{key.text}` is a mapping, got {written(tree)}", tree, help=help)
        return None
    for name, (inner, _) in tree.pairs.items():
        if name not in _KEYS:
            help = near_names(name, _KEYS) or f"its keys are {', '.join(f'`{k}`' for k in _KEYS)}"
            report.error("unknown-key", f"a block has no key `{name}`", inner, help=help)
    nodes = tree.get("nodes")
    if not isinstance(nodes, Sequence):
        got = f", got {written(nodes)}" if nodes is not None else ""
        report.error("bad-block", f"the block `{key.text}` needs `nodes`, a list{got}", nodes or key)
        return None
    if not nodes.items:
        help = "a block makes something of its inputs; for nothing at all take the op `identity`"
        report.error("bad-block", f"the block `{key.text}` has no nodes", nodes, help=help)
        return None
    args = _args(tree.get("args"), report)
    inputs = _inputs(tree.get("inputs"), report)
    outputs = _outputs(tree.get("outputs"), report)
    if args is None or inputs is None or outputs is None:
        return None
    return Block(key.text, key, args, inputs, nodes.items, outputs, names)


def _args(tree: Tree | None, report: Report) -> dict[str, Tree | None] | None:
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return {}
    pairs: list[tuple[Scalar, Tree | None]]
    if isinstance(tree, TreeMapping):
        pairs = [(key, None if _is_required(value) else value) for key, value in tree.pairs.values()]
    elif isinstance(tree, Sequence) and all(isinstance(item, Scalar) for item in tree.items):
        pairs = [(item, None) for item in tree.items]  # type: ignore[misc]
    else:
        help = "write `args: {channels: required, stride: 1}`"
        report.error("bad-block", f"`args` maps arguments to their defaults, got {written(tree)}", tree, help=help)
        return None
    found: dict[str, Tree | None] = {}
    for key, value in pairs:
        if key.text in RESERVED or not key.text.isidentifier():
            reserved = (
                f"`{key.text}` is a key of every node" if key.text in RESERVED else "take letters, digits and `_`"
            )
            report.error("bad-name", f"`{key.text}` cannot be the name of an argument", key, help=reserved)
            return None
        found[key.text] = value
    return found


def _is_required(value: Tree) -> bool:
    return isinstance(value, Scalar) and value.value == "required" and not value.quoted


def _inputs(tree: Tree | None, report: Report) -> tuple[str, ...] | None:
    if tree is None:
        return ("x",)
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return (tree.value,)
    if isinstance(tree, Sequence):
        names = [item.value for item in tree.items if isinstance(item, Scalar) and isinstance(item.value, str)]
        if len(names) == len(tree.items):
            if len(set(names)) < len(names):
                report.error("duplicate-name", "two inputs of this block have one name", tree)
                return None
            return tuple(names)
    report.error("bad-block", f"`inputs` of a block lists names, got {written(tree)}", tree, help="write `inputs: [x]`")
    return None


def _outputs(tree: Tree | None, report: Report) -> dict[str, Scalar] | None:
    if tree is None:
        return {}
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return {"y": tree}
    pairs: list[tuple[str, Tree]] = []
    if isinstance(tree, Sequence):
        pairs = [(item.text, item) for item in tree.items if isinstance(item, Scalar)]
    elif isinstance(tree, TreeMapping):
        pairs = [(name, value) for name, (_, value) in tree.pairs.items()]
    if not pairs or not all(isinstance(value, Scalar) and isinstance(value.value, str) for _, value in pairs):
        report.error(
            "bad-block",
            f"`outputs` of a block names values, got {written(tree)}",
            tree,
            help="write `outputs: [y]` or `{y: value}`",
        )
        return None
    return {name: value for name, value in pairs if isinstance(value, Scalar)}
