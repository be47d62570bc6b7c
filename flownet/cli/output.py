"""How commands speak: tables and colour on a terminal, plain text when piped, one JSON document with `--json`.

Results go to standard output, diagnostics and warnings to standard error. With `--json` the document is all that
standard output gets, and what is meant for people goes to standard error.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from flownet.errors import Diagnostic

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Output", "amount", "duration", "size"]


class Output:
    """Where a command writes.

    json: whether standard output is for one JSON document
    """

    def __init__(self, json: bool = False) -> None:
        self.json = json

    @property
    def stream(self) -> IO[str]:
        """What people read: standard output, or standard error beside a JSON document."""
        return sys.stderr if self.json else sys.stdout

    @property
    def interactive(self) -> bool:
        return self.stream.isatty()

    @cached_property
    def console(self) -> Console:
        """The terminal, for what plain text cannot do (progress bars)."""
        from rich.console import Console

        return Console(file=self.stream, highlight=False, soft_wrap=True)

    @cached_property
    def errors(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stderr, highlight=False, soft_wrap=True)

    # -- for people ----------------------------------------------------------------------------------------------------

    def say(self, text: str = "", style: str = "") -> None:
        """A line for people."""
        if self.interactive:
            self.console.print(text, style=style or None, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", totals: Sequence[Any] = ()
    ) -> None:
        """A table; columns of numbers, with units or without, are flush right."""
        cells = [[str(cell) for cell in row] for row in rows]
        last = [[str(cell) for cell in totals]] if totals else []
        right = [_numeric(column) for column in zip(*cells, strict=True)] or [False] * len(columns)
        if self.interactive:
            self._rich_table(columns, cells, last, right, title)
        else:
            self._plain_table(columns, cells + last, right, title)

    def _rich_table(
        self, columns: Sequence[str], cells: list[list[str]], last: list[list[str]], right: list[bool], title: str
    ) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", show_footer=bool(last)
        )
        for i, name in enumerate(columns):
            footer = last[0][i] if last else ""
            table.add_column(Text(name), justify="right" if right[i] else "left", footer=Text(footer), overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        self.console.print(table, soft_wrap=False)

    def _plain_table(self, columns: Sequence[str], cells: list[list[str]], right: list[bool], title: str) -> None:
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        if title:
            self.say(title)
        for row in [list(columns), *cells]:
            padded = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
            self.say("  ".join(padded).rstrip())

    # -- for programs --------------------------------------------------------------------------------------------------

    def document(self, content: Any) -> None:
        """The one JSON document."""
        print(json.dumps(_finite(content), indent=2, ensure_ascii=False, default=_plain), flush=True)

    # -- for whoever made a mistake ------------------------------------------------------------------------------------

    def diagnostics(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Diagnostics, rendered to standard error, an empty line between them."""
        for number, diagnostic in enumerate(diagnostics):
            text = ("\n" if number else "") + diagnostic.render()
            if sys.stderr.isatty():
                self.errors.print(_coloured(text, diagnostic.severity), soft_wrap=True)
            else:
                print(text, file=sys.stderr, flush=True)

    def warn(self, code: str, text: str) -> None:
        """One line on standard error that stops nothing."""
        self.diagnostics([Diagnostic(code, text, severity="warning")])


_NUMBER = re.compile(r"[-+]?[\d][\d.,]*(e[-+]?\d+)?( ?[A-Za-zµ%/]{1,6})?|–|")


def _numeric(column: Sequence[str]) -> bool:
    return any(column) and all(_NUMBER.fullmatch(cell) for cell in column)


def _coloured(text: str, severity: str) -> Text:
    from rich.text import Text

    result = Text(text)
    result.highlight_regex(r"(?m)^(error|warning)\[[^\]]*\]", "bold red" if severity == "error" else "bold yellow")
    result.highlight_regex(r"(?m)^ *(-->|\d* \|)", "blue")
    result.highlight_regex(r"(?m)^ *\| *(\^+)$", "bold red" if severity == "error" else "bold yellow")
    result.highlight_regex(r"(?m)^note:", "cyan")
    result.highlight_regex(r"(?m)^help:", "green")
    return result


def _plain(thing: Any) -> Any:
    """What `json` does not know: arrays and their numbers, paths, sizes with symbols."""
    return thing.tolist() if hasattr(thing, "tolist") else str(thing)


def _finite(content: Any) -> Any:
    """JSON has neither NaN nor infinity: null."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if hasattr(content, "tolist"):
        return _finite(content.tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def amount(number: Any) -> str:
    """A count with thousands apart; above a million rounded: `61 706`, `25.6 M`.

    >>> amount(61706), amount(25_557_032)
    ('61,706', '25.56 M')
    """
    if not isinstance(number, int):
        return str(number)
    for unit, scale in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= scale:
            return f"{number / scale:.2f} {unit}"
    return f"{number:,}"


def size(nbytes: int) -> str:
    """Bytes for people.

    >>> size(512), size(3_670_016)
    ('512 B', '3.5 MiB')
    """
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} B"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7.31), duration(75), duration(7260)
    ('7.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
