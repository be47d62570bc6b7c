"""Handwritten digits, 8×8: the dataset inside the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.embedded import every, path_of
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits
from flownet.types import DType

__all__ = ["Digits"]


@dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """`image` float32[1, 8, 8] in [0, 1], `label` int32 from 0 to 9; 1347 to train on and 450 to test.

    Each fourth image is for testing. So both splits have digits of all 13 writers, as in the random splits that are
    usual for this copy; on writers never seen the results would be lower.
    """

    name = "digits"
    summary = "handwritten digits, 8×8, inside the package"
    licence = "CC BY 4.0"
    source = "Alpaydin, Kaynak 1998, UCI Machine Learning Repository, doi:10.24432/C50P49 (its test set)"

    def read(self, root: DataRoot) -> Splits:
        path = path_of("digits.npz")
        with np.load(path) as arrays:
            # the values 0 to 16 count the ink in blocks of 4×4 pixels
            image = arrays["image"].astype(np.float32) / 16
            label = arrays["label"]
        fields = {
            "image": Field(DType.float32, (1, 8, 8), "image", range=(0, 1)),
            "label": Field(DType.int32, (), "label", tuple("0123456789")),
        }
        return every(4, ArraySplit({"image": image, "label": label}, fields, files={"image": path, "label": path}))
