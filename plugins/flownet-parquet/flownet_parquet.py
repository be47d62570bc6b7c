"""Parquet files as Hugging Face keeps datasets: row groups are read when a batch needs them."""

from __future__ import annotations

import io
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from flownet import FlownetError, hookimpl
from flownet.data.dataset import DataRoot, Dataset, Field, Splits
from flownet.data.formats.image import Fit, read_image
from flownet.data.split import check_batch, converted
from flownet.types import DType

__all__ = ["Parquet"]

flownet_api = 1

_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Parquet(Dataset):
    """`image` float32[channels, h, w] in [0, 1], `label` int32, and one field for each of `columns`.

    path:      a file or a folder of files; names that begin with `train`, `validation` or `test` say the split
    image:     the column of encoded pictures, a struct of `bytes` or plain bytes; `none` where there are none
    label:     the column of class indices or of texts; `none` where there is none
    columns:   columns of numbers, or of lists of numbers of one length, as fields of their own
    size:      [height, width] that all pictures are brought to; without it all must have the size of the first
    fit:       `crop` scales to cover `size` and cuts out the middle, `stretch` scales each side on its own
    channels:  3 for colour, 1 for grey
    cache_mib: the row groups used last stay in memory, encoded, up to so many MiB
    """

    name = "parquet"
    summary = "Parquet files of images or tables, as on the Hugging Face hub, streamed"

    path: str
    image: str | Literal["none"] = "image"
    label: str | Literal["none"] = "label"
    columns: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Literal[1, 3] = 3
    cache_mib: int = 512

    def read(self, root: DataRoot) -> Splits:
        path = root.user_path(self.path)
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise FlownetError.of("data-empty", f"{path} holds no `.parquet` files")
        by_split: dict[str, list[Path]] = {}
        for file in files:
            by_split.setdefault(_split_of(file), []).append(file)
        if "train" not in by_split:
            names = ", ".join(f"`{split}`" for split in by_split)
            raise FlownetError.of("data-field", f"{path} has no files to train on, found those for {names}")
        tables = {split: Table(found, self.cache_mib << 20) for split, found in by_split.items()}
        fields = self._fields(tables["train"])
        texts = fields["label"].classes if "label" in fields and tables["train"].is_text(self.label) else None
        return {split: ParquetSplit(table, self, fields, texts) for split, table in tables.items()}

    def _fields(self, table: Table) -> dict[str, Field]:
        wanted = [name for name in (self.image, self.label, *self.columns) if name != "none"]
        for name in wanted:
            if name not in table.schema.names:
                known = ", ".join(f"`{column}`" for column in table.schema.names)
                raise FlownetError.of(
                    "data-field", f"{table.files[0]} has no column `{name}`", f"its columns are {known}",
                    help="name the columns by the options `image`, `label` and `columns`",
                )  # fmt: skip
        fields: dict[str, Field] = {}
        first = table.rows(np.array([0]), wanted)
        if self.image != "none":
            size = self.size or _decoded(first[self.image][0], self, table.files[0], 0).shape[1:]
            fields["image"] = Field(DType.float32, (self.channels, *size), "image", range=(0, 1))
        for name in self.columns:
            fields[name] = Field(DType.float32, np.shape(first[name][0]))
        if self.label != "none":
            fields["label"] = Field(DType.int32, (), "label", table.classes(self.label))
        if not fields:
            raise FlownetError.of("bad-option", "the dataset has no field: `image`, `label` and `columns` name nothing")
        return fields


class Table:
    """The rows of several files, by number; only footers are read when it is made."""

    def __init__(self, files: Sequence[Path], cache_bytes: int) -> None:
        self.files = files
        self._groups: list[tuple[int, int]] = []  # (file, row group)
        starts = [0]
        try:
            self._metadata = [pyarrow.parquet.read_metadata(file) for file in files]
            self.schema = pyarrow.parquet.read_schema(files[0])
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise FlownetError.of(
                "data-unreadable", f"{_bad_file(files)} is no Parquet file, or damaged: {_first_line(error)}"
            ) from None
        for number, metadata in enumerate(self._metadata):
            for group in range(metadata.num_row_groups):
                self._groups.append((number, group))
                starts.append(starts[-1] + metadata.row_group(group).num_rows)
        self._starts = np.array(starts)
        self._cache: OrderedDict[tuple[int, tuple[str, ...]], pyarrow.Table] = OrderedDict()
        self._cached_bytes, self._cache_bytes = 0, cache_bytes
        self._lock = threading.Lock()  # `take` is called from several threads
        if not len(self):
            raise FlownetError.of("data-empty", f"{files[0]} holds no rows")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, indices: np.ndarray, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Column -> the values at `indices`, in their order."""
        found: dict[str, list[Any]] = {column: [None] * len(indices) for column in columns}
        groups = np.searchsorted(self._starts, indices, side="right") - 1
        for group in np.unique(groups):
            table = self._group(int(group), tuple(columns))
            places = np.flatnonzero(groups == group)
            taken = table.take(pyarrow.array(indices[places] - self._starts[group]))
            for column in columns:
                for place, value in zip(places, taken[column].to_pylist(), strict=True):
                    found[column][place] = value
        return found

    def place(self, index: int) -> tuple[Path, int]:
        """The file, and the row in it."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        number = self._groups[group][0]
        first = next(start for start, (file, _) in zip(self._starts, self._groups, strict=False) if file == number)
        return self.files[number], int(index - first)

    def is_text(self, column: str) -> bool:
        return pyarrow.types.is_string(self.schema.field(column).type) or pyarrow.types.is_large_string(
            self.schema.field(column).type
        )

    def classes(self, column: str) -> tuple[str, ...]:
        """The classes' names: as the schema says (Hugging Face's ClassLabel), the texts themselves, or "0", "1", …"""
        if self.is_text(column):
            return tuple(sorted({value for value in self._whole(column).to_pylist() if value is not None}))
        about = json.loads((self.schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = about.get("info", {}).get("features", {}).get(column, {})
        if isinstance(feature.get("names"), list):
            return tuple(map(str, feature["names"]))
        if not pyarrow.types.is_integer(self.schema.field(column).type):
            raise FlownetError.of(
                "data-field",
                f"`{column}` in {self.files[0]} is {self.schema.field(column).type}, expected class indices or texts",
            )
        largest = pyarrow.compute.max(self._whole(column)).as_py() or 0
        return tuple(map(str, range(max(int(largest), 0) + 1)))

    def _whole(self, column: str) -> pyarrow.ChunkedArray:
        tables = [pyarrow.parquet.read_table(file, columns=[column]) for file in self.files]
        return pyarrow.concat_tables(tables)[column]

    def _group(self, group: int, columns: tuple[str, ...]) -> pyarrow.Table:
        with self._lock:
            if (group, columns) in self._cache:
                self._cache.move_to_end((group, columns))
                return self._cache[group, columns]
        number, inner = self._groups[group]
        try:
            with pyarrow.parquet.ParquetFile(self.files[number], metadata=self._metadata[number]) as file:
                table = file.read_row_group(inner, columns=list(columns), use_threads=False)
        except (OSError, pyarrow.ArrowInvalid) as error:
            message = f"{self.files[number]}, row group {inner}, cannot be read: {_first_line(error)}"
            raise FlownetError.of("data-unreadable", message, help="get the file again") from None
        with self._lock:
            self._cache[group, columns] = table
            self._cached_bytes += table.nbytes
            while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return table


class ParquetSplit:
    """A split over a table."""

    def __init__(
        self, table: Table, options: Parquet, fields: Mapping[str, Field], texts: tuple[str, ...] | None
    ) -> None:
        self.table, self.options, self.fields = table, options, fields
        self._index = {text: i for i, text in enumerate(texts)} if texts is not None else None

    def __len__(self) -> int:
        return len(self.table)

    def take(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        options = self.options
        columns = {"image": options.image, "label": options.label, **{name: name for name in options.columns}}
        rows = self.table.rows(np.asarray(indices), [columns[name] for name in self.fields])
        batch = {name: self._array(name, rows[columns[name]], indices) for name in self.fields}
        check_batch(batch, self.fields, dict.fromkeys(self.fields, self.table.files[0]))
        return batch

    def _array(self, name: str, values: list[Any], indices: np.ndarray) -> np.ndarray:
        field = self.fields[name]
        for row, value in zip(indices, values, strict=True):
            if value is None:
                file, at = self.table.place(int(row))
                raise FlownetError.of("data-nan", f"{file}, row {at}: `{name}` is empty")
        if name == "image":
            images = []
            for row, value in zip(indices, values, strict=True):
                file, at = self.table.place(int(row))
                pixels = _decoded(value, self.options, file, at)
                if pixels.shape != field.shape:
                    raise FlownetError.of(
                        "data-wrong-size",
                        f"{file}, row {at}: the picture is {list(pixels.shape[1:])}, the first one {list(field.shape[1:])}",
                        help="bring all to one size by `size: [height, width]`",
                    )  # fmt: skip
                images.append(pixels)
            return converted(np.stack(images) if images else np.empty((0, *field.shape), np.uint8), field)
        if name == "label" and self._index is not None:
            unknown = [value for value in values if value not in self._index]
            if unknown:
                raise FlownetError.of(
                    "data-label-range", f"{self.table.files[0]}: the train split has no class `{unknown[0]}`"
                )
            values = [self._index[value] for value in values]
        try:
            return np.asarray(values, field.dtype.numpy).reshape(len(values), *field.shape)
        except (TypeError, ValueError) as error:
            message = f"`{name}` in {self.table.files[0]} cannot be made {field.dtype}{list(field.shape)}: {error}"
            raise FlownetError.of("data-wrong-size", message) from None


def _decoded(value: Any, options: Parquet, file: Path, row: int) -> np.ndarray:
    """uint8[channels, h, w] of a cell: encoded bytes, or Hugging Face's struct that holds them."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise FlownetError.of(
            "data-field", f"{file}, row {row}: `{options.image}` holds no encoded picture",
            help="pictures that are files beside the table are no part of it: use `image_folder`",
        )  # fmt: skip
    return read_image(io.BytesIO(data), options.channels, options.size, options.fit, name=f"{file}, row {row}")


def _split_of(file: Path) -> str:
    name = file.stem.lower()
    return next((split for prefix, split in _SPLITS.items() if name.startswith(prefix)), "train")


def _bad_file(files: Sequence[Path]) -> Path:
    for file in files:
        try:
            pyarrow.parquet.read_metadata(file)
        except (OSError, pyarrow.ArrowInvalid):
            return file
    return files[0]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@hookimpl
def flownet_datasets() -> list[type[Dataset]]:
    return [Parquet]
