"""Any images or values in IDX files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.formats.idx import read_idx
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits, class_names
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["IdxFiles"]


@dataclass(frozen=True, kw_only=True)
class IdxFiles(Dataset):
    """`image` float32[c, h, w] and `label` int32, from a file of images and one of labels; `.gz` or plain.

    images:      of 3 dimensions (one channel), or 4; bytes are divided by 255, other types taken as they are
    labels:      class indices
    test_images, test_labels: the same for the test split, where there is one
    classes:     the number of classes, or their names; without it, as many as the labels of `train` use
    """

    name = "idx"
    summary = "images and labels in IDX files"
    example = {"images": "train-images.idx3-ubyte", "labels": "train-labels.idx1-ubyte"}

    images: str
    labels: str
    test_images: str | None = None
    test_labels: str | None = None
    classes: int | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.test_images is None) != (self.test_labels is None):
            raise FlownetError.of(
                "missing-option", "dataset `idx` needs `test_images` and `test_labels`, or none of them"
            )

    def read(self, root: DataRoot) -> Splits:
        file = root.user_path(self.labels, folder=False)
        names = class_names(self.classes, read_idx(file, (1,)), str(file))
        splits: Splits = {"train": _split(root, self.images, self.labels, names)}
        if self.test_images is not None and self.test_labels is not None:
            splits["test"] = _split(root, self.test_images, self.test_labels, names)
            train, test = (splits[name].fields["image"].shape for name in ("train", "test"))
            if train != test:
                message = f"{self.test_images} holds images of {list(test)}, those of {self.images} are {list(train)}"
                raise FlownetError.of("data-wrong-size", message)
        return splits


def _split(root: DataRoot, images: str, labels: str, classes: tuple[str, ...]) -> ArraySplit:
    image_file, label_file = root.user_path(images, folder=False), root.user_path(labels, folder=False)
    pixels = read_idx(image_file, (3, 4))
    shape = pixels.shape[1:] if pixels.ndim == 4 else (1, *pixels.shape[1:])
    label = read_idx(label_file, (1,))
    if label.dtype.kind == "f":
        raise FlownetError.of("data-label-range", f"{label_file} holds fractions, expected class indices")
    fields = {
        "image": Field(DType.float32, shape, "image", range=(0, 1) if pixels.dtype == np.uint8 else None),
        "label": Field(DType.int32, (), "label", classes),
    }
    return ArraySplit({"image": pixels, "label": label}, fields, files={"image": image_file, "label": label_file})
