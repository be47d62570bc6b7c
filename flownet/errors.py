"""What a user is told when something is wrong: one `Diagnostic` for each mistake, and the error that carries them.

A message says what is wrong, a note says why, help says what to do. All three are lower case, have no full stop, and put
backticks around what the user wrote. `assert` is for our bugs; everything that a user can cause is a `FlownetError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from flownet.source import Span

__all__ = ["Diagnostic", "DiagnosticWarning", "FlownetError", "MachineError", "near_names"]


@dataclass(frozen=True)
class Diagnostic:
    """One mistake, found at one place.

    code:     stable and searchable, listed in docs/errors.md (`unknown-op`)
    message:  what is wrong
    span:     the smallest stretch of the file that shows it, where there is a file
    notes:    why it is wrong, and the include, block and repeat that it came through
    help:     what to do; may be empty
    severity: "error", or "warning" for what does not stop the run
    """

    code: str
    message: str
    span: Span | None = None
    notes: tuple[str, ...] = ()
    help: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """The diagnostic as text: headline, place, the line with carets under it, notes, help."""
        out = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.span is not None:
            out += _excerpt(self.span)
        out += [f"note: {note}" for note in self.notes]
        if self.help:
            out.append(f"help: {self.help}")
        return "\n".join(out)


class DiagnosticWarning(UserWarning):
    """A diagnostic of what does not stop the run, on the way of Python's warnings; the command prints it as one."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(str(diagnostic))


_WIDEST_LINE = 160


def _excerpt(span: Span) -> list[str]:
    line = span.file.line(span.line).replace("\t", " ")
    number = str(span.line)
    margin = " " * len(number)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    start = span.column
    if len(line) > _WIDEST_LINE:  # a minified JSON file is one line: show what surrounds the mistake
        first = max(0, start - 1 - _WIDEST_LINE // 2)
        line = line[first : first + _WIDEST_LINE]
        start, end = start - first, min(end - first, len(line) + 1)
    carets = "^" * max(1, end - start)
    return [
        f"{margin}--> {span}",
        f"{margin} |",
        f"{number} | {line}".rstrip(),
        f"{margin} | {' ' * (start - 1)}{carets}",
    ]


class FlownetError(Exception):
    """The user's input is wrong; `diagnostics` says all that is wrong with it. Exit status 1."""

    exit_status = 1

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__(*self.diagnostics)

    @classmethod
    def of(cls, code: str, message: str, *notes: str, span: Span | None = None, help: str = "") -> Self:
        """An error with one diagnostic."""
        return cls(Diagnostic(code, message, span, notes, help))

    def placed(self, spans: Iterable[Span]) -> Self:
        """The same with the first of `spans` for those diagnostics that have no place yet."""
        first = next(iter(spans), None)
        return type(self)(replace(d, span=d.span or first) for d in self.diagnostics)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Diagnostic, ...]]]:
        """One that another process raised is the same here."""
        return type(self), (self.diagnostics,)

    def __str__(self) -> str:
        return "\n\n".join(str(diagnostic) for diagnostic in self.diagnostics)


class MachineError(FlownetError):
    """The machine failed: a device, a driver, a disk. Exit status 3."""

    exit_status = 3


def near_names(name: str, known: Iterable[str]) -> str:
    """A `did you mean` for a misspelt name, or the empty string when nothing is near.

    >>> near_names("sofmax", ["softmax", "dense"])
    'did you mean `softmax`?'
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""
