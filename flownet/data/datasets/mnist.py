"""MNIST and Fashion-MNIST: 28×28 grey images in four IDX files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flownet.data.dataset import Dataset
from flownet.data.formats.idx import read_idx
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["FashionMnist", "Mnist"]


@dataclass(frozen=True, kw_only=True)
class Mnist(Dataset):
    """`image` float32[1, 28, 28] in [0, 1], `label` int32 from 0 to 9; 60,000 to train on, 10,000 to test.

    The files are `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, each plain or as `.gz`; plain ones are mapped, not
    read.
    """

    name = "mnist"
    summary = "handwritten digits, 28×28"
    licence = "none stated"
    source = "LeCun, Cortes, Burges 1998, http://yann.lecun.com/exdb/mnist"
    folder = "mnist"

    also: ClassVar[tuple[str, ...]] = ("MNIST/raw",)
    """Where torchvision keeps the same files."""
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    address: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"

    def read(self, root: DataRoot) -> Splits:
        return {"train": self._split(root, "train"), "test": self._split(root, "t10k")}

    def _split(self, root: DataRoot, prefix: str) -> ArraySplit:
        images = self._find(root, f"{prefix}-images", "idx3")
        labels = self._find(root, f"{prefix}-labels", "idx1")
        pixels = read_idx(images, (3,))
        if pixels.shape[1:] != (28, 28) or pixels.dtype != "u1":
            found = " × ".join(map(str, pixels.shape[1:]))
            message = f"{images} holds images of {found} {pixels.dtype} values, expected 28 × 28 bytes"
            raise FlownetError.of("data-wrong-size", message, help="for images of other sizes take `dataset: idx`")
        fields = {
            "image": Field(DType.float32, (1, 28, 28), "image", range=(0, 1)),
            "label": Field(DType.int32, (), "label", self.classes),
        }
        arrays = {"image": pixels, "label": read_idx(labels, (1,))}
        return ArraySplit(arrays, fields, files={"image": images, "label": labels})

    def _find(self, root: DataRoot, stem: str, kind: str) -> Path:
        # some copies were unpacked by programs that turn the first hyphen of the ending into a dot
        names = tuple(f"{stem}{mark}{kind}-ubyte{end}" for mark in "-." for end in ("", ".gz"))
        how = (
            f"download the four files of {self.address} into a folder and give it to "
            f"`flownet data add {self.name} FOLDER`"
        )
        assert self.folder is not None
        return root.find(self.name, (self.folder, *self.also), names, how)


@dataclass(frozen=True, kw_only=True)
class FashionMnist(Mnist):
    """`image` float32[1, 28, 28] in [0, 1], `label` int32, ten articles of clothing; 60,000 and 10,000."""

    name = "fashion_mnist"
    summary = "articles of clothing, 28×28"
    licence = "MIT"
    source = "Xiao, Rasul, Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist"
    folder = "fashion-mnist"

    also = ("FashionMNIST/raw",)
    classes = (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
    address = "https://github.com/zalandoresearch/fashion-mnist (folder data/fashion)"
