"""A table in CSV: numbers to numbers, or numbers to classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flownet.data.dataset import Dataset
from flownet.data.formats.table import Table, read_table
from flownet.data.preparation import hold_out
from flownet.data.root import DataRoot
from flownet.data.split import Splits
from flownet.data.tabular import Task, classes_of, tabular_split
from flownet.errors import FlownetError

__all__ = ["CsvFile"]


@dataclass(frozen=True, kw_only=True)
class CsvFile(Dataset):
    """`x` float32[columns], and for the target `y` float32[1] (a regression), or `label` int32 (a classification; with
    two classes also `y`, 0 or 1).

    path:      the file, UTF-8; `.gz` is decompressed
    target:    the column to predict, by name, or by position from 0 (-1: the last); null: none
    columns:   the columns of `x`; without it all but the target
    task:      `auto` makes a classification of a target that holds texts, a regression of one that holds numbers
    header:    `auto` takes the first line for names when none of its cells is a number
    delimiter: between cells; without it a tab for `.tsv`, a comma otherwise
    test:      the part of the rows to hold out for testing, a fraction or a number
    test_path: a file of its own for testing, with the same columns
    """

    name = "csv"
    summary = "a table of numbers in CSV"
    example = {"path": "flowers.csv", "target": "species"}

    path: str
    target: str | int | None = -1
    columns: tuple[str | int, ...] | None = None
    task: Task = "auto"
    header: bool | Literal["auto"] = "auto"
    delimiter: str | None = None
    test: int | float = 0
    test_path: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test and self.test_path is not None:
            raise FlownetError.of("bad-option", "dataset `csv` takes `test` or `test_path`, not both")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise FlownetError.of("bad-option", f"`delimiter` is one character, got `{self.delimiter}`")

    def read(self, root: DataRoot) -> Splits:
        table = self._table(root, self.path)
        target = None if self.target is None else table.index(self.target)
        features = self._features(table, target)
        classes = None if target is None else classes_of(table, target, self.task)
        train = tabular_split(table, features, target, classes)
        if self.test_path is not None:
            other = self._table(root, self.test_path)
            if other.names != table.names:
                raise FlownetError.of(
                    "data-field",
                    f"{other.path} has the columns {', '.join(other.names)}, {table.path} has {', '.join(table.names)}",
                )
            return {"train": train, "test": tabular_split(other, features, target, classes)}
        if not self.test:
            return {"train": train}
        left, test = hold_out(train, self.test, self.split_seed, test=True)
        return {"train": left, "test": test}

    def _table(self, root: DataRoot, path: str) -> Table:
        file = root.user_path(path, folder=False)
        return read_table(file, header=self.header, delimiter=self.delimiter)

    def _features(self, table: Table, target: int | None) -> list[int]:
        if self.columns is None:
            features = [column for column in range(len(table.names)) if column != target]
        else:
            features = [table.index(column) for column in self.columns]
        if not features:
            raise FlownetError.of(
                "data-field", f"{table.path} has no column but the target", help="is the `delimiter` right?"
            )
        if target in features:
            raise FlownetError.of("bad-option", f"`columns` holds the target `{table.names[target]}`")
        return features
