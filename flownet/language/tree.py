"""What a graph file says before anybody knows what it means: scalars, lists and mappings, each with its place.

The trees are immutable, so that an anchor's subtree may stand in several places and an override copies only the path
that leads to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flownet.source import SourceFile, Span

__all__ = ["Mapping", "Scalar", "Sequence", "Tree", "plain", "wrap", "written"]


class Tree:
    """A piece of a file. Lines and columns count from 1; `dynamic` tells whether a `$` stands anywhere in it."""

    __slots__ = ("column", "dynamic", "end_column", "end_line", "file", "line")

    def __init__(self, file: SourceFile | None, place: tuple[int, int, int, int], dynamic: bool) -> None:
        self.file = file
        self.line, self.column, self.end_line, self.end_column = place
        self.dynamic = dynamic

    @property
    def place(self) -> tuple[int, int, int, int]:
        return self.line, self.column, self.end_line, self.end_column

    @property
    def span(self) -> Span | None:
        return Span(self.file, *self.place) if self.file is not None else None


class Scalar(Tree):
    """A single value: `value` is what YAML's core schema makes of `text`, `quoted` tells whether it is text by quotes.

    `failed` marks the value of an expression that was reported already: whoever meets it stays silent.
    """

    __slots__ = ("failed", "quoted", "text", "value")

    def __init__(
        self,
        file: SourceFile | None,
        place: tuple[int, int, int, int],
        value: Any,
        text: str,
        quoted: bool = False,
        failed: bool = False,
    ) -> None:
        super().__init__(file, place, "$" in text)
        self.value, self.text, self.quoted, self.failed = value, text, quoted, failed


class Sequence(Tree):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, file: SourceFile | None, place: tuple[int, int, int, int], items: Iterable[Tree]) -> None:
        self.items = tuple(items)
        super().__init__(file, place, any(item.dynamic for item in self.items))


class Mapping(Tree):
    """Keys in their order; `pairs` maps the key's text to the key, which has a place too, and what stands behind it."""

    __slots__ = ("pairs",)

    def __init__(
        self, file: SourceFile | None, place: tuple[int, int, int, int], pairs: dict[str, tuple[Scalar, Tree]]
    ) -> None:
        self.pairs = pairs
        super().__init__(file, place, any(key.dynamic or value.dynamic for key, value in pairs.values()))

    def get(self, name: str) -> Tree | None:
        found = self.pairs.get(name)
        return found[1] if found else None

    def key(self, name: str) -> Scalar | None:
        found = self.pairs.get(name)
        return found[0] if found else None

    def replaced(self, key: Scalar, value: Tree) -> Mapping:
        """A copy with another value under that key, which is added at the end when it is new."""
        old = self.pairs.get(key.text)
        return Mapping(self.file, self.place, {**self.pairs, key.text: (old[0] if old else key, value)})

    def without(self, *names: str) -> Mapping:
        return Mapping(self.file, self.place, {k: pair for k, pair in self.pairs.items() if k not in names})


def plain(tree: Tree | None) -> Any:
    """The tree as numbers, texts, lists and dicts."""
    match tree:
        case Mapping():
            return {name: plain(value) for name, (_, value) in tree.pairs.items()}
        case Sequence():
            return [plain(item) for item in tree.items]
        case Scalar():
            return tree.value
    return None


def wrap(value: Any, at: Tree) -> Tree:
    """The tree of a Python value, all of it standing where `at` stands: what the value of a variable becomes."""
    if isinstance(value, dict):
        return Mapping(
            at.file, at.place, {str(k): (Scalar(at.file, at.place, k, str(k)), wrap(v, at)) for k, v in value.items()}
        )
    if isinstance(value, list | tuple):
        return Sequence(at.file, at.place, [wrap(item, at) for item in value])
    scalar = Scalar(at.file, at.place, value, "" if value is None else str(value), isinstance(value, str))
    scalar.dynamic = False
    return scalar


def written(tree: Tree | Any) -> str:
    """How a message names a value: `the text `x``, `3`, `a list of 2`, `a mapping`."""
    if isinstance(tree, Sequence):
        return f"a list of {len(tree.items)}"
    if isinstance(tree, Mapping):
        return (
            f"a mapping with {', '.join(f'`{name}`' for name in list(tree.pairs)[:4])}"
            if tree.pairs
            else "an empty mapping"
        )
    value = tree.value if isinstance(tree, Scalar) else tree
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"the text `{value}`" if len(value) <= 60 else f"a text of {len(value)} characters"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    return f"`{value}`"
