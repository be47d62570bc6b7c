"""CIFAR-10: 32×32 colour images of ten classes, in its binary or its Python version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.formats.files import truncated, unreadable
from flownet.data.formats.safe_pickle import read_pickle
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["Cifar10"]

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS
_HOW = (
    "unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html and give "
    "the folder to `flownet data add cifar10 FOLDER`"
)


@dataclass(frozen=True, kw_only=True)
class Cifar10(Dataset):
    """`image` float32[3, 32, 32] in [0, 1], red, green, blue, and `label` int32; 50,000 to train on, 10,000 to test.

    `cifar-10-batches-bin/` is taken, else `cifar-10-batches-py/`, whose pickles are read without running any code. The
    184 MB stay in memory as bytes.
    """

    name = "cifar10"
    summary = "colour images of ten classes, 32×32"
    licence = "none stated"
    source = "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html"
    folder = "cifar-10-batches-bin"

    def read(self, root: DataRoot) -> Splits:
        assert self.folder is not None
        folders = (self.folder, "cifar-10-batches-py")
        names = [f"data_batch_{i}" for i in range(1, 6)]
        train = [root.find(self.name, folders, (f"{name}.bin", name), _HOW) for name in names]
        test = root.find(self.name, folders, ("test_batch.bin", "test_batch"), _HOW)
        return {"train": _split(train), "test": _split([test])}


def _split(paths: list[Path]) -> ArraySplit:
    batches = [_binary(path) if path.suffix == ".bin" else _python(path) for path in paths]
    image = np.concatenate([pixels for pixels, _ in batches])
    label = np.concatenate([labels for _, labels in batches])
    fields = {
        "image": Field(DType.float32, (3, 32, 32), "image", range=(0, 1)),
        "label": Field(DType.int32, (), "label", _CLASSES),
    }
    place = paths[0] if len(paths) == 1 else paths[0].parent
    return ArraySplit({"image": image, "label": label}, fields, files={"image": place, "label": place})


def _binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of one byte of label and 3072 of pixels: 1024 red, then green, then blue, row by row."""
    size = path.stat().st_size
    if not size:
        raise FlownetError.of("data-empty", f"{path} is empty: 0 bytes", help=_HOW)
    if size % _RECORD:
        raise truncated(
            path, f"records of {_RECORD} bytes", f"{size} bytes, {size % _RECORD} over {size // _RECORD} records"
        )
    try:
        records = np.fromfile(path, np.uint8).reshape(-1, _RECORD)
    except OSError as error:
        raise unreadable(path, error) from None
    _check_labels(path, records[:, 0])
    return records[:, 1:], records[:, 0]


def _python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict: `data` uint8[n, 3072] in the same order, and `labels`, a list."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise FlownetError.of("data-field", f"{path} holds a {type(content).__name__}, expected a dict")
    content = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    for key in ("data", "labels"):
        if key not in content:
            found = ", ".join(f"`{k}`" for k in content) or "nothing"
            raise FlownetError.of("data-field", f"{path} has no `{key}`, found {found}", help=_HOW)
    data, labels = content["data"], content["labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _PIXELS:
        found = f"{data.dtype}{list(data.shape)}" if isinstance(data, np.ndarray) else f"a {type(data).__name__}"
        raise FlownetError.of("data-wrong-size", f"`data` in {path} is {found}, expected uint8[n, {_PIXELS}]")
    try:
        label = np.asarray(labels, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise FlownetError.of("data-field", f"`labels` in {path} is no list of whole numbers") from None
    if label.shape != (len(data),):
        message = f"{path} holds {len(data)} images and labels of shape {list(label.shape)}"
        raise FlownetError.of("data-count", message, help="every image needs one label")
    _check_labels(path, label)
    return data, label


def _check_labels(path: Path, labels: np.ndarray) -> None:
    # here and not by the split, which knows only the folder
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise FlownetError.of(
            "data-label-range",
            f"{path} holds class {int(labels[wrong[0]])} in record {int(wrong[0])}, expected 0 to 9",
            f"{len(wrong)} of {len(labels)} records have such a label",
            help="is it CIFAR-100, or another format?",
        )
