"""Folders of images, one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.decoded import CACHE_MIB, DecodedSplit
from flownet.data.formats.image import SUFFIXES, Fit, image_size, read_image
from flownet.data.preparation import hold_out
from flownet.data.root import DataRoot
from flownet.data.split import Field, Splits
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["SPLIT_FOLDERS", "ImageFolder", "image_files"]

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """`image` float32[channels, h, w] in [0, 1], and `label` int32, the folder that the image is in.

    `PATH/train/CLASS/*.jpg`, and `PATH/validation/…`, `PATH/test/…` where there are any; or `PATH/CLASS/*.jpg`. Classes
    are in the order of their names. Images are decoded when they are needed.

    path:      the folder
    size:      [height, width] that all are brought to; without it all must have the size of the first
    fit:       `crop` scales to cover `size` and cuts out the middle, `stretch` scales each side on its own
    channels:  3 for colour, 1 for grey
    test:      the part to hold out for testing, a fraction or a number, where there is no folder for it
    cache_mib: decoded images stay in memory when all of a split take no more than so many MiB
    """

    name = "image_folder"
    summary = "images in one folder a class"
    example = {"path": "photos", "size": "[64, 64]"}

    path: str
    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Literal[1, 3] = 3
    test: int | float = 0
    cache_mib: int = CACHE_MIB

    def read(self, root: DataRoot) -> Splits:
        path = root.user_path(self.path, folder=True)
        folders = {
            split: path / name for split, names in SPLIT_FOLDERS.items() for name in names if (path / name).is_dir()
        }
        if "train" not in folders:
            folders = {"train": path}
        classes = tuple(sorted(child.name for child in folders["train"].iterdir() if _is_class(child)))
        if not classes:
            message = f"{folders['train']} has no folder of images in it"
            help = "put the images of each class into a folder with the name of the class"
            raise FlownetError.of("data-empty", message, help=help)
        first = image_files(folders["train"] / classes[0])[0]
        size = self.size or image_size(first)
        splits: Splits = {name: self._split(folder, classes, size) for name, folder in folders.items()}
        if self.test:
            if "test" in splits:
                message = f"{path} has a folder for testing"
                raise FlownetError.of("bad-option", message, help="leave the option `test` out")
            splits["train"], splits["test"] = hold_out(splits["train"], self.test, self.split_seed, test=True)
        return splits

    def _split(self, folder: Path, classes: tuple[str, ...], size: tuple[int, int]) -> DecodedSplit:
        unknown = sorted(child.name for child in folder.iterdir() if _is_class(child) and child.name not in classes)
        if unknown:
            message = f"{folder} has a folder for the class `{unknown[0]}`, which the train split has not"
            raise FlownetError.of("data-label-range", message)
        files: list[Path] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            if (folder / name).is_dir():
                found = image_files(folder / name)
                files += found
                labels += [label] * len(found)
        label_array = np.array(labels, np.int32)

        def decode(index: int) -> dict[str, np.ndarray]:
            return {"image": read_image(files[index], self.channels, self.size, self.fit), "label": label_array[index]}

        fields = {
            "image": Field(DType.float32, (self.channels, *size), "image", range=(0, 1)),
            "label": Field(DType.int32, (), "label", classes),
        }
        return DecodedSplit(
            len(files),
            decode,
            fields,
            files={"image": files, "label": files},
            stored={"image": np.uint8, "label": np.int32},
            cache_mib=self.cache_mib,
        )


def _is_class(child: Path) -> bool:
    return child.is_dir() and not child.name.startswith((".", "__"))


def image_files(folder: Path, suffixes: frozenset[str] = SUFFIXES) -> Sequence[Path]:
    """The images in `folder` and the folders in it, in the order of their names. Raises `data-empty`."""
    files = [
        p for p in folder.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()
    ]
    if not files:
        others = sorted({p.suffix for p in folder.rglob("*") if p.is_file()})
        note = f"it holds only files {', '.join(f'`{s}`' for s in others if s)}" if any(others) else "it is empty"
        raise FlownetError.of(
            "data-empty", f"{folder} holds no images", note, help=f"known are {', '.join(sorted(suffixes))}"
        )
    return sorted(files)
