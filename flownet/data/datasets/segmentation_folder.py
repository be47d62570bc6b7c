"""Folders of images, and of masks that give each pixel its class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.datasets.image_folder import SPLIT_FOLDERS, image_files
from flownet.data.decoded import CACHE_MIB, DecodedSplit
from flownet.data.formats.image import Fit, image_size, read_image, read_mask
from flownet.data.preparation import hold_out
from flownet.data.root import DataRoot
from flownet.data.split import Field, Splits, class_names
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["SegmentationFolder"]


@dataclass(frozen=True, kw_only=True)
class SegmentationFolder(Dataset):
    """`image` float32[channels, h, w] in [0, 1], and `mask` int32[h, w] of class indices.

    An image and its mask have the same name before the ending: `train/images/street.jpg`, `train/masks/street.png`.
    Masks are grey or palette images whose values are the classes.

    path:      the folder
    classes:   the number of classes, or their names
    images, masks: the folders in it, with `{split}` for `train`, `validation` (or `val`), `test`; without it there is
               only a train split
    ignore:    the value in masks that means "no label here"
    size, fit, channels: as for `image_folder`; masks are scaled to the nearest pixel
    test:      the part to hold out for testing, where there is no folder for it
    cache_mib: decoded images stay in memory when all of a split take no more than so many MiB
    """

    name = "segmentation_folder"
    summary = "images and masks in two folders"
    example = {"path": "streets", "classes": "[road, car, sky]"}

    path: str
    classes: int | tuple[str, ...]
    images: str = "{split}/images"
    masks: str = "{split}/masks"
    ignore: int | None = None
    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Literal[1, 3] = 3
    test: int | float = 0
    cache_mib: int = CACHE_MIB

    def read(self, root: DataRoot) -> Splits:
        return self.read_folder(root.user_path(self.path, folder=True))

    def read_folder(self, path: Path) -> Splits:
        """The splits in `path`."""
        pairs: dict[str, tuple[Path, Path]] = {}
        tried = []
        for split, names in SPLIT_FOLDERS.items():
            for name in names:
                images, masks = path / self.images.format(split=name), path / self.masks.format(split=name)
                tried.append(images)
                if images.is_dir() and split not in pairs and ("{split}" in self.images or split == "train"):
                    if not masks.is_dir():
                        raise FlownetError.of(
                            "data-missing", f"{images} is there, the folder of its masks, {masks}, is not"
                        )
                    pairs[split] = images, masks
        if "train" not in pairs:
            raise FlownetError.of(
                "data-missing",
                f"{path} has no images to train on",
                f"sought in {tried[0]}",
                help='say where they are by `images: "{split}/images"` and `masks: "{split}/masks"`',
            )
        size = self.size or image_size(image_files(pairs["train"][0])[0])
        splits: Splits = {name: self._split(images, masks, size) for name, (images, masks) in pairs.items()}
        if self.test:
            if "test" in splits:
                raise FlownetError.of(
                    "bad-option", f"{path} has a folder for testing", help="leave the option `test` out"
                )
            splits["train"], splits["test"] = hold_out(splits["train"], self.test, self.split_seed, test=True)
        return splits

    def _split(self, images: Path, masks: Path, size: tuple[int, int]) -> DecodedSplit:
        image_of = {str(file.relative_to(images).with_suffix("")): file for file in image_files(images)}
        mask_of = {str(file.relative_to(masks).with_suffix("")): file for file in image_files(masks)}
        for stems, others, folder, what in ((image_of, mask_of, masks, "mask"), (mask_of, image_of, images, "image")):
            alone = sorted(stems.keys() - others.keys())
            if alone:
                raise FlownetError.of(
                    "data-count",
                    f"{stems[alone[0]]} has no {what} of its name in {folder}",
                    f"{len(alone)} of {len(stems)} have none",
                    help="an image and its mask need the same name before the ending",
                )
        names = sorted(image_of)
        seen, masked = [image_of[name] for name in names], [mask_of[name] for name in names]

        def decode(index: int) -> dict[str, np.ndarray]:
            image = read_image(seen[index], self.channels, self.size, self.fit)
            mask = read_mask(masked[index], self.size, self.fit)
            return {"image": image, "mask": mask}

        classes = class_names(self.classes, np.empty(0), str(masks))
        fields = {
            "image": Field(DType.float32, (self.channels, *size), "image", range=(0, 1)),
            "mask": Field(DType.int32, size, "mask", classes, ignore=self.ignore),
        }
        return DecodedSplit(
            len(names),
            decode,
            fields,
            files={"image": seen, "mask": masked},
            stored={"image": np.uint8, "mask": np.uint8 if _fits_a_byte(classes, self.ignore) else np.int32},
            cache_mib=self.cache_mib,
        )


def _fits_a_byte(classes: tuple[str, ...], ignore: int | None) -> bool:
    return len(classes) <= 256 and (ignore is None or 0 <= ignore < 256)
