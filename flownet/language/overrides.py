"""`--set train.epochs=3`: any value of a file replaced from outside, before anything is made of it.

A path goes through keys, and through lists by position or, for nodes, by name: `nodes.conv2d_1.kernel=3`. The value is
read as YAML. What is wrong with an override is shown in the text of the override itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.language.reading import read_text
from flownet.language.report import Report
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Sequence, Tree, written
from flownet.language.variables import Variables
from flownet.language.writing import to_flow
from flownet.source import SourceFile, Span

__all__ = ["Override", "apply", "override_variables", "read_overrides"]


class Override:
    """One `path=value`: the parts of the path, each with its place in the text, and the value."""

    def __init__(self, parts: list[Scalar], value: Tree) -> None:
        self.parts, self.value = parts, value

    @property
    def path(self) -> str:
        return ".".join(part.text for part in self.parts)


def read_overrides(overrides: Iterable[str] | Mapping[str, Any], report: Report) -> list[Override]:
    """The overrides that `path=value` texts, or a mapping from paths to values, spell. Errors: `bad-override`."""
    texts = (
        [f"{path}={to_flow(value)}" for path, value in overrides.items()]
        if isinstance(overrides, Mapping)
        else overrides
    )
    return [found for text in texts if (found := _read(text, report)) is not None]


def _read(text: str, report: Report) -> Override | None:
    file = SourceFile("--set", text)
    path, equals, value_text = text.partition("=")
    whole = Scalar(file, (1, 1, 1, len(text) + 1), text, text)
    names = path.strip().split(".")
    if not equals or not all(name.strip() for name in names):
        report.error("bad-override", f"`{text}` is no override", whole, help="write `--set train.epochs=3`")
        return None
    parts, column = [], 1 + len(path) - len(path.lstrip())
    for name in names:
        parts.append(Scalar(file, (1, column, 1, column + len(name)), name, name, True))
        column += len(name) + 1
    # blanks in front of the value keep its columns those of the whole text
    try:
        value = read_text(" " * (len(path) + 1) + value_text, "--set", report)
    except FlownetError as error:
        for d in error.diagnostics:
            span = Span(file, 1, d.span.column, 1, d.span.end_column) if d.span else whole.span
            report.take(replace(d, span=span))
        return None
    value = value or Scalar(file, (1, len(path) + 2, 1, len(path) + 2), None, "")
    return Override(parts, _moved(value, file))


def _moved(tree: Tree, file: SourceFile) -> Tree:
    """The value, standing in the text of the override."""
    tree.file = file
    if isinstance(tree, Sequence):
        for item in tree.items:
            _moved(item, file)
    elif isinstance(tree, TreeMapping):
        for key, value in tree.pairs.values():
            _moved(key, file)
            _moved(value, file)
    return tree


def apply(root: TreeMapping, overrides: Iterable[Override], report: Report) -> TreeMapping:
    """The file with its overrides, but for those of variables, which may stand in an included file."""
    for override in overrides:
        if override.parts[0].text == "vars" and len(override.parts) > 1:
            continue
        try:
            changed = _set(root, override.parts, 0, override.value, False)
        except FlownetError as error:
            report.failure(error)
            continue
        assert isinstance(changed, TreeMapping)
        root = changed
    return root


def override_variables(variables: Variables, overrides: Iterable[Override], report: Report) -> None:
    """Replace the values of variables; they must be there: a misspelt one would change nothing, and silently."""
    for override in overrides:
        if override.parts[0].text != "vars" or len(override.parts) == 1:
            continue
        name = override.parts[1]
        if name.text not in variables:
            known = list(variables)
            help = near_names(name.text, known) or (
                f"the variables are {', '.join(known)}" if known else "the file has no `vars`"
            )
            report.error("bad-override", f"there is no variable `{name.text}`", name, help=help)
            continue
        try:
            old = variables.tree(name.text)
            variables.override(name.text, _set(old, override.parts, 2, override.value, False))
        except FlownetError as error:
            report.failure(error)


def _set(tree: Tree | None, parts: list[Scalar], depth: int, value: Tree, is_node: bool) -> Tree:
    """`tree` with the value put in at `parts[depth:]`."""
    if depth == len(parts):
        return value
    part = parts[depth]
    if isinstance(tree, Sequence):
        return _set_in_list(tree, parts, depth, value)
    if isinstance(tree, Scalar) and is_node and isinstance(tree.value, str):
        tree = TreeMapping(tree.file, tree.place, {tree.text: (tree, TreeMapping(tree.file, tree.place, {}))})
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        tree = TreeMapping(part.file, part.place, {})
    if not isinstance(tree, TreeMapping):
        before = ".".join(p.text for p in parts[:depth])
        raise FlownetError.of(
            "bad-override", f"`{before}` is {written(tree)}, and has no `{part.text}`", span=part.span,
            help="end the path there to replace it",
        )  # fmt: skip
    if is_node and "op" not in tree.pairs and len(tree.pairs) == 1 and part.text not in tree.pairs:
        ((key, attributes),) = tree.pairs.values()  # `{conv2d: {…}}`: the path goes on inside
        return tree.replaced(key, _set(attributes, parts, depth, value, False))
    return tree.replaced(part, _set(tree.get(part.text), parts, depth + 1, value, False))


def _set_in_list(tree: Sequence, parts: list[Scalar], depth: int, value: Tree) -> Tree:
    part = parts[depth]
    names = _names_of(tree)
    if part.text.isdigit() and int(part.text) < len(tree.items):
        position = int(part.text)
    elif part.text in names:
        position = names.index(part.text)
    else:
        before = ".".join(p.text for p in parts[:depth]) or "the list"
        known = [name for name in names if name]
        help = near_names(part.text, known) or (
            f"it has the items 0 to {len(tree.items) - 1}"
            + (f", and the nodes {', '.join(known[:8])}" if known else "")
        )
        raise FlownetError.of("bad-override", f"`{before}` has no item `{part.text}`", span=part.span, help=help)
    items = list(tree.items)
    items[position] = _set(items[position], parts, depth + 1, value, True)
    return Sequence(tree.file, tree.place, items)


def _names_of(tree: Sequence) -> list[str]:
    """The names of the nodes of a list, automatic ones too, as the expansion gives them."""
    counts: dict[str, int] = {}
    names = []
    for item in tree.items:
        op, name = "", None
        if isinstance(item, Scalar) and isinstance(item.value, str):
            op = item.value
        elif isinstance(item, TreeMapping):
            options: Tree | None = item
            if (found := item.get("op")) is not None:
                op = found.text if isinstance(found, Scalar) else ""
            elif len(item.pairs) == 1:
                ((key, options),) = item.pairs.values()
                op = key.text
            name = options.get("name") if isinstance(options, TreeMapping) else None
        base = op.rsplit("/", 1)[-1]
        counts[base] = counts.get(base, 0) + 1
        names.append(name.text if isinstance(name, Scalar) else f"{base}_{counts[base]}" if base else "")
    return names
