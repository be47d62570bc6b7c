"""Where something stands in a user's file: the file, and a stretch of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["SourceFile", "Span"]


@dataclass(frozen=True)
class SourceFile:
    """A text and the name under which a user knows it (a path, or `<dict>` for a graph made in Python)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def line(self, number: int) -> str:
        """The text of line `number`, counted from 1; empty past the end of the file."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file: lines and columns count from 1, `end_column` is the first column behind it."""

    file: SourceFile
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{self.column}"
