"""The variables of a file and of what it includes: evaluated when somebody asks, so they may stand in any order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flownet.errors import FlownetError
from flownet.language.expressions import resolve
from flownet.language.report import Report
from flownet.language.tree import Scalar, Tree, plain

__all__ = ["Variables"]


class Variables(Mapping[str, Any]):
    """Names -> values. `used` are those that anybody has asked for."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._trees: dict[str, tuple[Scalar, Tree]] = {}
        self._values: dict[str, Any] = {}
        self._open: list[str] = []
        self._failed: set[str] = set()
        self.used: set[str] = set()

    def declare(self, key: Scalar, tree: Tree, stack: tuple[str, ...] = ()) -> None:
        """Add a variable; a second one of the same name is an error (`duplicate-name`)."""
        if not key.text.isidentifier():
            self._report.error(
                "bad-name", f"`{key.text}` cannot be the name of a variable", key, help="take letters, digits and `_`"
            )
            return
        if key.text in self._trees:
            first = self._trees[key.text][0]
            where = f"first at {first.span}" if first.span else "declared before"
            self._report.error(
                "duplicate-name",
                f"the variable `{key.text}` is declared twice",
                key,
                where,
                help="rename one of them",
                stack=stack,
            )
            return
        self._trees[key.text] = (key, tree)

    def override(self, name: str, tree: Tree) -> None:
        self._trees[name] = (self._trees[name][0], tree)

    def declared(self) -> Iterator[tuple[str, Scalar]]:
        return ((name, key) for name, (key, _) in self._trees.items())

    def tree(self, name: str) -> Tree:
        return self._trees[name][1]

    def evaluate_all(self) -> dict[str, Any]:
        """All values; every variable that is wrong is reported. Looking so counts as no use."""
        values = {}
        for name in self._trees:
            try:
                values[name] = self._value(name)
            except FlownetError as error:
                self._report.failure(error)
        return values

    def __getitem__(self, name: str) -> Any:
        if name not in self._trees:
            raise KeyError(name)
        self.used.add(name)
        return self._value(name)

    def _value(self, name: str) -> Any:
        if name in self._failed:
            raise FlownetError([])  # reported already: whoever uses it is a victim
        if name not in self._values:
            self._values[name] = self._evaluate(name)
        return self._values[name]

    def _evaluate(self, name: str) -> Any:
        key, tree = self._trees[name]
        if name in self._open:
            circle = " → ".join([*self._open[self._open.index(name) :], name])
            self._failed |= set(self._open)
            raise FlownetError.of("variable-cycle", f"the variable `{name}` depends on itself", circle, span=key.span)
        self._open.append(name)
        before = len(self._report.errors)
        try:
            value = plain(resolve(tree, self, self._report))
        finally:
            self._open.pop()
        if len(self._report.errors) > before or name in self._failed or _any_failed(tree):
            self._failed.add(name)
            raise FlownetError([])
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._trees  # asking is no use of it

    def __iter__(self) -> Iterator[str]:
        return iter(self._trees)

    def __len__(self) -> int:
        return len(self._trees)


def _any_failed(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.failed
