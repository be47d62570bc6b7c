"""Breast cancer Wisconsin (diagnostic): 30 measures, benign or malignant."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.data.dataset import Dataset
from flownet.data.embedded import every, path_of
from flownet.data.formats.table import read_table
from flownet.data.root import DataRoot
from flownet.data.split import Splits
from flownet.data.tabular import classes_of, tabular_split

__all__ = ["BreastCancer"]


@dataclass(frozen=True, kw_only=True)
class BreastCancer(Dataset):
    """`x` float32[30], `label` int32 and `y` float32[1]: 0 benign, 1 malignant; 426 to train on, 143 to test.

    The measures run from 0.001 to 4254: `standardise: per_channel` is what a linear model needs. scikit-learn's copy
    counts its classes the other way round, malignant as 0.
    """

    name = "breast_cancer"
    summary = "benign or malignant from 30 measures, inside the package"
    licence = "CC BY 4.0"
    source = "Wolberg, Mangasarian, Street, Street 1995, UCI Machine Learning Repository, doi:10.24432/C5DW2B"

    def read(self, root: DataRoot) -> Splits:
        table = read_table(path_of("breast_cancer.csv.gz"))
        target = table.index("diagnosis")
        return every(4, tabular_split(table, range(target), target, classes_of(table, target, "auto")))
