"""The collection of all that is wrong with a file, so that a user learns of every mistake in one go."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flownet.errors import Diagnostic, FlownetError, near_names
from flownet.language.tree import Tree
from flownet.source import Span

__all__ = ["Report"]

_MISSPELT = 0.75  # `tahn` and `tanh`; `maxout` and `max_pool` are at 0.57

Place = Tree | Span | None


class Report:
    """Diagnostics in the order in which they were found; what a block does wrong each time it is used is said once.

    lacks_plugin: whether a plugin that the file needs is not here, and with it names that the file uses
    """

    def __init__(self) -> None:
        self._found: dict[tuple, Diagnostic] = {}
        self.lacks_plugin = False

    def error(
        self, code: str, message: str, at: Place = None, *notes: str, help: str = "", stack: Sequence[str] = ()
    ) -> None:
        self.take(Diagnostic(code, message, _span(at), (*notes, *stack), help))

    def unknown(
        self,
        code: str,
        message: str,
        name: str,
        known: Iterable[str],
        at: Place,
        *notes: str,
        help: str,
        stack: Sequence[str] = (),
    ) -> None:
        """The error of a name that nothing has; `help` where none is near.

        Where a plugin is missing, the name may be one of its: it is told only if it is all but a known one, misspelt.
        """
        known = list(known)
        if self.lacks_plugin and not difflib.get_close_matches(name, known, cutoff=_MISSPELT):
            return
        self.error(code, message, at, *notes, help=near_names(name, known) or help, stack=stack)

    def warning(
        self, code: str, message: str, at: Place = None, *notes: str, help: str = "", stack: Sequence[str] = ()
    ) -> None:
        self.take(Diagnostic(code, message, _span(at), (*notes, *stack), help, "warning"))

    def take(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        place = (span.file.name, span.line, span.column) if span else diagnostic.message
        self._found.setdefault((diagnostic.code, place, diagnostic.severity), diagnostic)

    def failure(self, error: FlownetError, at: Place = None, *notes: str, stack: Sequence[str] = ()) -> None:
        """Take in the diagnostics of an error; those that have no place get `at`."""
        for d in error.diagnostics:
            self.take(replace(d, span=d.span or _span(at), notes=(*d.notes, *notes, *stack)))

    @property
    def failed(self) -> bool:
        return bool(self.errors)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self._found.values() if d.severity == "error"]

    @property
    def all(self) -> list[Diagnostic]:
        """Errors and warnings, by file and place; the file that was read first comes first."""
        files: dict[str, int] = {}
        for d in self._found.values():
            if d.span:
                files.setdefault(d.span.file.name, len(files))

        def place(d: Diagnostic) -> tuple:
            return (files[d.span.file.name], d.span.line, d.span.column) if d.span else (len(files), 0, 0)

        return sorted(self._found.values(), key=place)


def _span(at: Place) -> Span | None:
    return at.span if isinstance(at, Tree) else at
