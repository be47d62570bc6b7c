"""Exclusive or: the four rows of its truth table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits
from flownet.types import DType

__all__ = ["Xor"]


@dataclass(frozen=True, kw_only=True)
class Xor(Dataset):
    """`x` float32[2] and `y` float32[1] in {0, 1}, `label` int32 the same as a class.

    `train` and `test` are the same four rows: they are all that there is, so that a test on others is impossible.
    """

    name = "xor"
    summary = "the truth table of exclusive or, inside the package"
    licence = "public domain"
    source = "the definition of exclusive or"

    def read(self, root: DataRoot) -> Splits:
        arrays = {
            "x": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32),
            "y": np.array([[0], [1], [1], [0]], np.float32),
            "label": np.array([0, 1, 1, 0], np.int32),
        }
        fields = {
            "x": Field(DType.float32, (2,), range=(0, 1)),
            "y": Field(DType.float32, (1,), range=(0, 1)),
            "label": Field(DType.int32, (), "label", ("false", "true")),
        }
        return {"train": ArraySplit(arrays, fields), "test": ArraySplit(arrays, fields)}
