"""What `flownet data list`, `info` and `add` say and do. Nothing is printed here."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shutil
import tarfile
import tempfile
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flownet.data.augmentation import Augmentation
from flownet.data.dataset import Dataset, make_dataset
from flownet.data.options import in_words
from flownet.data.root import DataRoot
from flownet.data.split import Field, Splits, check_batch
from flownet.errors import Diagnostic, FlownetError, MachineError

__all__ = [
    "DatasetInfo",
    "OptionInfo",
    "add_dataset",
    "check_splits",
    "describe_dataset",
    "example_of",
    "list_datasets",
    "options_of",
]

State = Literal["embedded", "present", "missing", "damaged", "files"]


@dataclass(frozen=True)
class OptionInfo:
    """One option of a dataset: its name, its type and meaning in words, and its default (None with `required`)."""

    name: str
    type: str
    required: bool
    default: Any = None
    meaning: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a dataset on this machine.

    state:     `embedded` in the package; `present` in the data folder; `missing` from it; `damaged`: there, but cannot
               be read; `files`: reads whatever files its options name, so that there is nothing to look for
    where:     the folder, present or not; None for `embedded` and `files`
    splits:    name of the split -> number of examples; empty unless it could be opened
    fields:    of the train split, likewise
    problem:   why it is missing or damaged
    """

    name: str
    summary: str
    licence: str
    source: str
    state: State
    where: Path | None = None
    splits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    fields: Mapping[str, Field] = dataclasses.field(default_factory=dict)
    problem: Diagnostic | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, for `--json`."""
        return {
            "name": self.name,
            "summary": self.summary,
            "licence": self.licence,
            "source": self.source,
            "state": self.state,
            "where": None if self.where is None else str(self.where),
            "splits": dict(self.splits),
            "fields": {
                name: {
                    "type": str(field.type()),
                    "kind": field.kind,
                    "classes": None if field.classes is None else list(field.classes),
                    "range": None if field.range is None else list(field.range),
                    "ignore": field.ignore,
                }
                for name, field in self.fields.items()
            },
            "problem": None if self.problem is None else {"code": self.problem.code, "message": self.problem.message},
        }


def options_of(dataset: type[Dataset]) -> list[OptionInfo]:
    """The options of a dataset: its own first, then those that all datasets share."""
    shared = {field.name for field in dataclasses.fields(Dataset)}
    hints = typing.get_type_hints(dataset)
    meanings = {**_meanings(Dataset), **_meanings(dataset)}
    found = []
    for field in sorted(dataclasses.fields(dataset), key=lambda f: f.name in shared):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        required = default is dataclasses.MISSING
        meaning = meanings.get(field.name, "")
        found.append(
            OptionInfo(field.name, in_words(hints[field.name]), required, None if required else default, meaning)
        )
    return found


def _meanings(dataset: type[Dataset]) -> dict[str, str]:
    """option -> what its class's documentation says of it: `path:  the folder`, with what is indented below."""
    found: dict[str, str] = {}
    last: list[str] = []
    for line in inspect.cleandoc(dataset.__doc__ or "").splitlines():
        if start := re.match(r"(\w+(?:, \w+)*): +(.+)", line):
            last = start[1].split(", ")
            found |= dict.fromkeys(last, start[2])
        elif last and line.startswith(" "):
            found |= {name: f"{found[name]} {line.strip()}" for name in last}
        else:
            last = []
    return found


def example_of(dataset: type[Dataset]) -> str:
    """How a graph file names the dataset: its required options with a value each."""
    required = [option.name for option in options_of(dataset) if option.required]
    given = {**dict.fromkeys(required, "…"), **dataset.example}
    return f"data: {{{', '.join(f'{key}: {value}' for key, value in {'dataset': dataset.name, **given}.items())}}}"


def list_datasets(
    datasets: Mapping[str, type[Dataset]], root: DataRoot | Path | str | None = None
) -> list[DatasetInfo]:
    """Every dataset installed, in the order of `datasets`. Opens those that are there, which takes about a second."""
    return [_information(cls, {}, DataRoot.of(root)) for cls in datasets.values()]


def describe_dataset(
    options: Mapping[str, Any],
    datasets: Mapping[str, type[Dataset]],
    augmentations: Mapping[str, type[Augmentation]],
    root: DataRoot | Path | str | None = None,
    *,
    check: bool = False,
) -> DatasetInfo:
    """The dataset that `options` describe as `train: data:` does: `{"dataset": "csv", "path": "iris.csv"}`.

    check: also read every example, which finds damaged images

    Raises FlownetError for wrong options. What is wrong with the data is the `problem` of what is returned.
    """
    dataset = make_dataset(options, datasets, augmentations)
    given = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
    return _information(type(dataset), given, DataRoot.of(root), check)


def _information(cls: type[Dataset], options: Mapping[str, Any], root: DataRoot, check: bool = False) -> DatasetInfo:
    known: dict[str, Any] = {"name": cls.name, "summary": cls.summary, "licence": cls.licence, "source": cls.source}
    needs = any(option.required and option.name not in options for option in options_of(cls))
    if needs:
        return DatasetInfo(**known, state="files")
    where = None if cls.folder is None else root.folder / cls.folder
    path = options.get("path")
    if cls.folder is None and isinstance(path, str):
        where = root.folder / path
    try:
        if cls.folder is None and isinstance(path, str):
            where = root.user_path(path)
        splits = cls(**options).open(root)
        if check:
            check_splits(splits)
    except FlownetError as error:
        problem = error.diagnostics[0]
        state: State = "missing" if problem.code == "data-missing" else "damaged"
        return DatasetInfo(**known, state=state, where=where, problem=problem)
    counts = {name: len(split) for name, split in splits.items()}
    return DatasetInfo(
        **known,
        state="embedded" if where is None else "present",
        where=where,
        splits=counts,
        fields=splits["train"].fields,
    )


def check_splits(splits: Splits, chunk: int = 256) -> None:
    """Read every example: raises what is wrong with the first bad one."""
    for split in splits.values():
        for first in range(0, len(split), chunk):
            batch = split.take(np.arange(first, min(first + chunk, len(split))))
            check_batch(batch, split.fields, {})
            for name, field in split.fields.items():
                assert batch[name].shape[1:] == field.shape, f"{name}: {batch[name].shape[1:]}, declared {field.shape}"


def add_dataset(
    path: Path,
    options: Mapping[str, Any],
    datasets: Mapping[str, type[Dataset]],
    augmentations: Mapping[str, type[Augmentation]],
    root: DataRoot | Path | str | None = None,
    *,
    name: str | None = None,
    replace: bool = False,
) -> DatasetInfo:
    """Copy the user's folder, file or tar archive `path` into the data folder, after every example of it has been read.

    options: what it is: `{"dataset": "mnist"}`, or `{"dataset": "image_folder", "size": [64, 64]}` without its `path`
    name:    of the copy, for datasets that name their files by `path`; without it the name that it has. A dataset with
             a folder of its own (`mnist`) goes there
    replace: put it in the place of what is there; otherwise that is an error

    The data folder gets all of it or nothing: the copy is made beside its place, synced, and renamed.

    Raises FlownetError: what is wrong with the options or the data; `data-exists`; `bad-option` for a name that is
    none; `cannot-write` when the disk fails.
    """
    root = DataRoot.of(root)
    cls = datasets.get(str(options.get("dataset")))
    if cls is not None and cls.folder is None and "path" not in {option.name for option in options_of(cls)}:
        message = f"dataset `{cls.name}` reads no single file or folder"
        raise FlownetError.of("bad-option", message, help="name its files by its options in the graph file")
    with _unpacked(path, cls, root) as origin:
        target_name = _target_name(cls, name, origin)
        trial = dict(options)
        if cls is not None and cls.folder is None:
            trial["path"] = target_name
        # every name that the dataset may look for leads to the user's files, so that nothing is copied for nothing
        stand_in = dataclasses.replace(root, stand_ins={target_name: origin})
        dataset = make_dataset(trial, datasets, augmentations)
        check_splits(dataset.open(stand_in))
        target = root.folder / target_name
        if target.exists() and not replace:
            help = "choose another name, or say that it may be replaced"
            raise FlownetError.of("data-exists", f"{target} is there already", help=help)
        _copy(origin, target)
    return describe_dataset(trial, datasets, augmentations, dataclasses.replace(root, beside=root.folder))


def _target_name(cls: type[Dataset] | None, name: str | None, origin: Path) -> str:
    if cls is not None and cls.folder is not None:
        if name not in (None, cls.folder, cls.name):
            message = f"dataset `{cls.name}` has its own folder `{cls.folder}`, and takes no other name"
            raise FlownetError.of("bad-option", message)
        return cls.folder
    chosen = name or origin.name
    if not chosen or chosen.startswith(".") or "/" in chosen or "\\" in chosen or "\0" in chosen:
        message = f"`{chosen}` cannot be a name in the data folder"
        raise FlownetError.of("bad-option", message, help="use letters, digits, `-`, `_` and `.`")
    return chosen


@contextmanager
def _unpacked(path: Path, cls: type[Dataset] | None, root: DataRoot) -> Iterator[Path]:
    """`path`, or for a tar archive of a dataset that is a folder, the folder that it was unpacked to, for as long."""
    if not path.exists():
        raise FlownetError.of("data-missing", f"no such file or folder: {path}")
    takes_folder = cls is not None and (cls.folder is not None or "folder" in cls.name)
    if path.is_dir() or not takes_folder:
        yield path
        return
    with _beside(root.folder / "archive") as temporary:
        inside = temporary / "inside"
        if cls is not None and path.name in cls.archives:
            inside.mkdir()
            shutil.copy(path, inside)
        else:
            try:
                with tarfile.open(path) as archive:
                    archive.extractall(inside, filter="data")
            except (tarfile.TarError, EOFError, OSError) as error:
                message = f"{path} is no folder, and no tar archive that can be unpacked: {error}"
                raise FlownetError.of("data-unreadable", message) from None
        children = list(inside.iterdir())
        yield children[0] if len(children) == 1 and children[0].is_dir() else inside


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A temporary folder in the folder of `target`, so that a rename between them is atomic."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".adding-"))
    except OSError as error:
        raise _cannot_write(target.parent, error) from None
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(origin: Path, target: Path) -> None:
    with _beside(target) as temporary:
        copy, old = temporary / "new", temporary / "old"
        try:
            if origin.is_dir():
                shutil.copytree(origin, copy)
            else:
                shutil.copy2(origin, copy)
            _sync(copy)
            if target.exists():
                os.replace(target, old)
            os.replace(copy, target)
        except (OSError, shutil.Error) as error:
            if old.exists() and not target.exists():
                os.replace(old, target)
            raise _cannot_write(target, error) from None


def _sync(path: Path) -> None:
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _cannot_write(path: Path, error: OSError | shutil.Error) -> FlownetError:
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return MachineError.of("cannot-write", f"{path} cannot be written: {reason}", help="is the disk full or read-only?")
