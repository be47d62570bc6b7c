"""The three ways to write a node, which mean the same: `tanh`, `{tanh: {…}}`, `{op: tanh, …}`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flownet.language.report import Report
from flownet.language.tree import Mapping, Scalar, Tree, written

__all__ = ["RESERVED", "NodeForm", "read_node"]

RESERVED = ("name", "in", "repeat", "index", "device", "share", "freeze", "init")
"""The keys of a node that are not attributes of its op."""

_EXAMPLE = "write `- dense: {units: 10}`"


@dataclass(frozen=True, slots=True)
class NodeForm:
    """A node as written: the op's or block's name, and everything else that its mapping holds."""

    op: Scalar
    options: Mapping | None

    def option(self, name: str) -> Tree | None:
        return self.options.get(name) if self.options is not None else None


def read_node(tree: Tree, report: Report, stack: Sequence[str] = ()) -> NodeForm | None:
    """The form of one node; None after a report (`bad-node`)."""
    if isinstance(tree, Scalar):
        if tree.failed:
            return None
        if isinstance(tree.value, str) and tree.value:
            return NodeForm(tree, None)
        report.error(
            "bad-node", f"a node is an op's name or a mapping, got {written(tree)}", tree, help=_EXAMPLE, stack=stack
        )
        return None
    if not isinstance(tree, Mapping):
        help = f"{_EXAMPLE}; a list within the list of nodes has no meaning"
        report.error(
            "bad-node", f"a node is an op's name or a mapping, got {written(tree)}", tree, help=help, stack=stack
        )
        return None
    if (op := tree.pairs.get("op")) is not None:
        name = op[1]
        if isinstance(name, Scalar) and isinstance(name.value, str):
            return NodeForm(name, tree.without("op"))
        if not (isinstance(name, Scalar) and name.failed):
            report.error(
                "bad-node", f"`op` takes an op's name, got {written(name)}", name, help="write `op: dense`", stack=stack
            )
        return None
    if len(tree.pairs) != 1:
        _several_keys(tree, report, stack)
        return None
    ((key, value),) = tree.pairs.values()
    if key.failed:
        return None
    if key.text in RESERVED:
        report.error("bad-node", f"this node has no op, only `{key.text}`", key, help=_EXAMPLE, stack=stack)
        return None
    if isinstance(value, Scalar) and value.value is None and not value.failed:
        return NodeForm(key, None)
    if isinstance(value, Mapping):
        return NodeForm(key, value)
    if not (isinstance(value, Scalar) and value.failed):
        help = f"write `- {key.text}: {{attribute: value}}`"
        message = f"what stands behind `{key.text}:` is a mapping of its attributes, got {written(value)}"
        report.error("bad-node", message, value, help=help, stack=stack)
    return None


def _several_keys(tree: Mapping, report: Report, stack: Sequence[str]) -> None:
    keys = [key for key, _ in tree.pairs.values()]
    if not keys:
        report.error("bad-node", "this node has no op", tree, help=_EXAMPLE, stack=stack)
        return
    first = keys[0].text
    names = ", ".join(f"`{key.text}`" for key in keys)
    if first in RESERVED:
        help = f"add `op:`, as in `{{name: …, op: dense, …}}`, or write `- dense: {{{first}: …}}`"
    else:
        braces = f"`- {first}: {{{keys[1].text}: …}}`"
        help = f"attributes stand below `{first}:`, two columns further in, or in braces: {braces}"
    report.error("bad-node", f"a node has one op, found the keys {names}", keys[1], help=help, stack=stack)
