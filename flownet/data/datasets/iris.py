"""Fisher's iris: four lengths, three species."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flownet.data.dataset import Dataset
from flownet.data.embedded import every, path_of
from flownet.data.formats.table import read_table
from flownet.data.root import DataRoot
from flownet.data.split import Splits
from flownet.data.tabular import classes_of, tabular_split

__all__ = ["Iris"]


@dataclass(frozen=True, kw_only=True)
class Iris(Dataset):
    """`x` float32[4], lengths in cm, and `label` int32, the species; 120 to train on, 30 to test, 10 of each species.

    target: `petal_width` makes it a regression: `x` float32[3] the other three lengths, `y` float32[1] the width in cm
    """

    name = "iris"
    summary = "flowers of three species, four lengths, inside the package"
    licence = "CC BY 4.0"
    source = "Fisher 1936, UCI Machine Learning Repository, doi:10.24432/C56C76"

    target: Literal["species", "petal_width"] = "species"

    def read(self, root: DataRoot) -> Splits:
        table = read_table(path_of("iris.csv"))
        target = table.index(self.target)
        features = range(4) if self.target == "species" else range(3)
        return every(5, tabular_split(table, features, target, classes_of(table, target, "auto")))
