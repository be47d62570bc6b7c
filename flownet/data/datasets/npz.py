"""NumPy arrays by name: `.npz`, `.npy`, or a folder of `.npy`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.formats.files import truncated, unreadable
from flownet.data.preparation import hold_out
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits, class_names
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["Npz"]

_SPLIT = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_AFFIX = re.compile(rf"^(?:({'|'.join(_SPLIT)})_(.+)|(.+)_({'|'.join(_SPLIT)}))$")
_KINDS = "float and integer arrays"


@dataclass(frozen=True, kw_only=True)
class Npz(Dataset):
    """The arrays of a file under their own names, the first axis over the examples.

    `x`, `y` are of the train split; `train_x` or `x_train`, `x_validation`, `x_test` say their split, as Keras' files
    do. In a folder, each array is a file `x_train.npy`, and stays on the disk: it is mapped, and may be larger than
    memory.

    Floats become float32. A whole-number array of one axis is a label; `image` of shape [n, h, w] or [n, c, h, w] is an
    image, whose bytes are divided by 255; `mask` of whole numbers [n, h, w] is a mask; the rest stays as it is.

    path:    `.npz`, `.npy` (its one array is called `x`), or a folder of `.npy`
    classes: the number of classes of labels and masks, or their names; without it as many as the train split uses
    ignore:  the value in masks that means "no label here"
    test:    the part to hold out for testing, a fraction or a number
    """

    name = "npz"
    summary = "NumPy arrays in .npz, .npy or a folder of .npy"
    example = {"path": "flowers.npz"}

    path: str
    classes: int | tuple[str, ...] | None = None
    ignore: int | None = None
    test: int | float = 0

    def read(self, root: DataRoot) -> Splits:
        path = root.user_path(self.path)
        by_split: dict[str, dict[str, tuple[Path, np.ndarray]]] = {}
        for name, (file, array) in _arrays(path).items():
            match = _AFFIX.match(name)
            split = _SPLIT[match[1] or match[4]] if match else "train"
            field = (match[2] or match[3]) if match else name
            if field in by_split.setdefault(split, {}):
                raise FlownetError.of("data-field", f"{path} has two arrays for `{field}` of the {split} split")
            by_split[split][field] = file, array
        if "train" not in by_split:
            found = ", ".join(f"`{split}`" for split in by_split) or "nothing"
            raise FlownetError.of("data-field", f"{path} has no arrays to train on, found those for {found}")
        fields = {name: self._field(name, file, array) for name, (file, array) in by_split["train"].items()}
        splits: Splits = {}
        for split, arrays in by_split.items():
            if arrays.keys() != fields.keys():
                lacking = ", ".join(f"`{name}`" for name in sorted(arrays.keys() ^ fields.keys()))
                message = f"{path}: the arrays of the train and the {split} split differ by {lacking}"
                raise FlownetError.of("data-field", message, help="each split needs the same arrays")
            files = {name: _called(file, name, split, path) for name, (file, _) in arrays.items()}
            splits[split] = ArraySplit({name: array for name, (_, array) in arrays.items()}, fields, files=files)
        if self.test:
            if "test" in splits:
                raise FlownetError.of("bad-option", f"{path} has a test split", help="leave the option `test` out")
            splits["train"], splits["test"] = hold_out(splits["train"], self.test, self.split_seed, test=True)
        return splits

    def _field(self, name: str, file: Path, array: np.ndarray) -> Field:
        if array.ndim == 0:
            raise FlownetError.of(
                "data-wrong-size", f"`{name}` in {file} is a single number, expected one entry an example"
            )
        if not len(array):
            raise FlownetError.of(
                "data-empty", f"`{name}` in {file} holds no examples: its shape is {list(array.shape)}"
            )
        is_whole = array.dtype.kind in "iu"
        if not is_whole and array.dtype.kind not in "fb":
            message = f"`{name}` in {file} has the element type {array.dtype}, expected {_KINDS}"
            raise FlownetError.of("data-field", message)
        inside = array.shape[1:]
        if is_whole and not inside:
            return Field(DType.int32, (), "label", self._classes(name, file, array))
        if is_whole and name == "mask" and len(inside) == 2:
            return Field(DType.int32, inside, "mask", self._classes(name, file, array), ignore=self.ignore)
        if name == "image" and len(inside) in (2, 3):
            shape = inside if len(inside) == 3 else (1, *inside)
            return Field(DType.float32, shape, "image", range=(0, 1) if array.dtype == np.uint8 else None)
        if array.dtype.kind == "f":
            return Field(DType.float32, inside)
        try:
            return Field(DType.of(array.dtype), inside)
        except ValueError:
            message = f"`{name}` in {file} has the element type {array.dtype}, which flownet has not"
            raise FlownetError.of("data-field", message, help="save it as int64 or float32") from None

    def _classes(self, name: str, file: Path, array: np.ndarray) -> tuple[str, ...]:
        used = array if self.ignore is None else array[array != self.ignore]
        return class_names(self.classes, used, f"`{name}` in {file}")


def _called(file: Path, name: str, split: str, path: Path) -> str:
    return str(file) if path.is_dir() else f"{file} ({split})"


def _arrays(path: Path) -> dict[str, tuple[Path, np.ndarray]]:
    """name -> (file, array), mapped where it is an `.npy`."""
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        if not files:
            raise FlownetError.of("data-empty", f"{path} holds no `.npy` files")
        with _told(path):
            return {file.stem: (file, np.load(file, mmap_mode="r", allow_pickle=False)) for file in files}
    with _told(path):
        if path.suffix == ".npy":
            return {"x": (path, np.load(path, mmap_mode="r", allow_pickle=False))}
        with np.load(path, allow_pickle=False) as archive:
            return {name: (path, archive[name]) for name in archive.files}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what NumPy raises while it reads `path` into what a user can act on."""
    try:
        yield
    except Exception as error:  # a damaged header is Python text, and can fail in any way in which that can
        if "allow_pickle" in str(error):
            raise FlownetError.of(
                "data-forbidden-pickle",
                f"{path} holds Python objects, or is no NumPy file; expected {_KINDS}",
                "objects are stored as pickles, which can run any code as they are read",
                help="save it again with numbers only",
            ) from None
        if "mmap length" in str(error):
            raise truncated(path, "the array that its header describes", f"{path.stat().st_size} bytes") from None
        raise unreadable(path, f"it is no NumPy file, or damaged ({error})") from None
