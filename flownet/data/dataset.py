"""The contract of a dataset, and the preparation that all datasets share.

A dataset is a frozen dataclass: its fields are its options under `train: data:` in a graph file. Its author writes
`read`; the user's `validation`, `limit`, `standardise` and `augment` work on every dataset, because `open` does them.

    @dataclass(frozen=True, kw_only=True)
    class Moons(Dataset):
        \"\"\"Two interleaved half circles.\"\"\"
        name = "moons"
        examples: int = 200

        def read(self, root):
            x, label = ...
            fields = {"x": Field(DType.float32, (2,)), "label": Field(DType.int32, (), "label", ("upper", "lower"))}
            return {"train": ArraySplit({"x": x, "label": label}, fields)}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from flownet.data.augmentation import Augmentation, read_augmentations
from flownet.data.options import Locate, build, nowhere
from flownet.data.preparation import Moments, check_preparation, prepare
from flownet.data.root import DataRoot
from flownet.data.split import Field, Split, Splits
from flownet.errors import Diagnostic, FlownetError, near_names

__all__ = ["DataRoot", "Dataset", "Field", "Split", "Splits", "make_dataset"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples to learn from; the base of every dataset.

    validation:  the part of `train` to hold out, as a fraction (0.1) or a number of examples (5000)
    split_seed:  chooses which examples are held out, and, where the dataset splits off its test examples, which
    limit:       at most so many examples of each split, evenly spread over it
    standardise: `per_channel` subtracts the mean of the train split and divides by its standard deviation, for each
                 channel of an image and each column of a table; `{mean: […], std: […]}` does it with given figures
    augment:     applied to the batches of the train split, in order
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    licence: ClassVar[str] = "that of your own data"
    source: ClassVar[str] = "your own files"
    folder: ClassVar[str | None] = None
    """The folder in the data root, for a dataset that has one of its own; None: embedded, or named by an option."""

    archives: ClassVar[tuple[str, ...]] = ()
    """Names of archives that the dataset reads as they are, without their being unpacked."""

    example: ClassVar[Mapping[str, str]] = {}
    """Options as a graph file may give them, to show how the dataset is named: `{"path": "flowers.npz"}`."""

    validation: int | float = 0
    split_seed: int = 0
    limit: int | None = None
    standardise: Literal["none", "per_channel"] | Moments | None = "none"
    augment: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        check_preparation(self.name, self.validation, self.limit)

    def read(self, root: DataRoot) -> Splits:
        """The splits as they lie on the disk: `train`, and `validation` and `test` where there are any."""
        raise NotImplementedError(f"{type(self).__name__} has no `read`")

    def open(self, root: Path | str | DataRoot | None = None, *, beside: Path | None = None) -> Splits:
        """The splits, prepared as the options say; `train` is always there, `validation` and `test` may be absent.

        beside: the folder of the graph file, where relative paths are sought first

        Raises FlownetError, `data-…`, for what is missing, damaged or not as expected; it names the file.
        """
        splits = prepare(
            self.name,
            self.read(DataRoot.of(root, beside=beside)),
            validation=self.validation,
            seed=self.split_seed,
            limit=self.limit,
            standardise=self.standardise,
        )
        fields = splits["train"].fields
        for augmentation in self.augment:
            fields = augmentation.fields_after(fields)  # a crop that is too large is found now, not in the first step
        return splits


def make_dataset(
    options: Mapping[str, Any],
    datasets: Mapping[str, type[Dataset]],
    augmentations: Mapping[str, type[Augmentation]],
    locate: Locate = nowhere,
) -> Dataset:
    """The dataset that `train: data:` describes: `{dataset: csv, path: iris.csv, target: species}`.

    datasets, augmentations: what is installed, by name
    locate: path of keys in `options` -> where the user wrote it

    Raises FlownetError: `unknown-dataset`, `unknown-augmentation`, `unknown-option`, `missing-option`, `bad-option`.
    """
    name = options.get("dataset")
    known = ", ".join(f"`{n}`" for n in sorted(datasets))
    if name is None:
        message = "`data` does not say which `dataset`"
        raise FlownetError.of("missing-option", message, span=locate(()), help=f"add `dataset:`, one of {known}")
    if not isinstance(name, str) or name not in datasets:
        help = near_names(str(name), datasets) or f"installed are {known}"
        raise FlownetError.of("unknown-dataset", f"there is no dataset `{name}`", span=locate(("dataset",)), help=help)
    rest = {key: value for key, value in options.items() if key not in ("dataset", "augment")}
    wrong: list[Diagnostic] = []
    ready: dict[str, Any] = {}
    if options.get("augment") is not None:
        try:
            ready["augment"] = read_augmentations(options["augment"], augmentations, locate)
        except FlownetError as error:
            wrong += error.diagnostics
    try:
        dataset = build(datasets[name], rest, what=f"dataset `{name}`", locate=locate, **ready)
    except FlownetError as error:
        wrong += error.diagnostics
    if wrong:
        raise FlownetError(wrong)
    return dataset
