"""Tables in CSV: cells as text, with the line of each row, so that a message can name it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flownet.data.formats.files import read_bytes, unreadable
from flownet.errors import FlownetError, near_names

__all__ = ["Table", "is_number", "read_table"]


@dataclass(frozen=True)
class Table:
    """Columns of text cells, all of one length."""

    path: Path
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def index(self, column: str | int) -> int:
        """The position of a column given by name or position (from 0; -1 is the last). Raises `data-field`."""
        if isinstance(column, str):
            if column not in self.names:
                help = near_names(column, self.names) or f"its columns are {', '.join(f'`{n}`' for n in self.names)}"
                raise FlownetError.of("data-field", f"{self.path} has no column `{column}`", help=help)
            return self.names.index(column)
        if not -len(self.names) <= column < len(self.names):
            raise FlownetError.of("data-field", f"{self.path} has no column {column}, only {len(self.names)} columns")
        return column % len(self.names)

    def texts(self, column: int) -> list[str]:
        return [row[column].strip() for row in self.rows]

    def numbers(self, column: int) -> np.ndarray:
        """float64[rows]. Raises `data-nan` for an empty or infinite cell, `data-field` for one that is no number."""
        cells = [row[column] for row in self.rows]
        try:
            values = np.array(cells, dtype=np.float64)
            if np.isfinite(values).all():
                return values
        except ValueError:
            pass
        for cell, line in zip(cells, self.lines, strict=True):
            text = cell.strip()
            where = f"{self.path}, line {line}, column `{self.names[column]}`"
            if not text or text.lower() in ("na", "nan", "null", "none", "?", "-"):
                shown = f"`{text}`" if text else "an empty cell"
                help = "remove the row, or put a number in its place"
                raise FlownetError.of("data-nan", f"{where}: {shown} in place of a number", help=help)
            if not is_number(text):
                help = "leave the column out by `columns:`, or make it the `target`"
                raise FlownetError.of("data-field", f"{where}: `{text[:60]}` is no number", help=help)
            if not np.isfinite(float(text)):
                raise FlownetError.of("data-nan", f"{where}: `{text}` is not finite")
        raise AssertionError(cells)


def is_number(text: str) -> bool:
    """Whether `float` reads it; so `nan` and `1e3` are numbers, `` and `1,5` are none."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_table(path: Path, *, header: bool | Literal["auto"] = "auto", delimiter: str | None = None) -> Table:
    """The table in `path`, UTF-8, decompressed when its name ends in `.gz`. Empty lines are skipped.

    header:    `auto` takes the first line for names when none of its cells is a number; unnamed columns are "0", "1", …
    delimiter: None: tab for `.tsv`, comma otherwise

    Raises `data-unreadable`, `data-empty`, `data-wrong-size` (a row with more or fewer cells than the first).
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(path, f"it is not UTF-8 text (byte {error.start})") from None
    if delimiter is None:
        delimiter = "\t" if ".tsv" in path.suffixes else ","
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if row and any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise unreadable(path, f"line {reader.line_num}: {error}") from None
    if header == "auto":
        header = bool(rows) and not any(is_number(cell) for cell in rows[0])
    names = tuple(cell.strip() for cell in rows[0]) if header and rows else ()
    body, lines = (rows[1:], lines[1:]) if header else (rows, lines)
    if not body:
        raise FlownetError.of("data-empty", f"{path} holds no rows{' below its header' if rows else ''}")
    names = names or tuple(str(i) for i in range(len(body[0])))
    for row, line in zip(body, lines, strict=True):
        if len(row) != len(names):
            raise FlownetError.of(
                "data-wrong-size",
                f"{path}, line {line}: {len(row)} cells, expected {len(names)}",
                help="" if len(row) > 1 else "is the `delimiter` another one?",
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FlownetError.of("data-field", f"{path} has two columns `{twice}`")
    return Table(path, names, body, lines)
