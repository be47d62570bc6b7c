"""Norris: a straight line with a certified solution."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.data.dataset import Dataset
from flownet.data.embedded import path_of
from flownet.data.formats.table import read_table
from flownet.data.root import DataRoot
from flownet.data.split import Splits
from flownet.data.tabular import tabular_split

__all__ = ["Norris"]


@dataclass(frozen=True, kw_only=True)
class Norris(Dataset):
    """`x` float32[1], the ozone that a standard gives, and `y` float32[1], what the monitor reads; 36 to train on.

    The least-squares line is certified: y = -0.262323073774029 + 1.00211681802045 x, with a residual standard deviation
    of 0.884796396144373. There is no test split: the certificate is for all 36 points.
    """

    name = "norris"
    summary = "a straight line with certified coefficients, inside the package"
    licence = "public domain"
    source = "J. Norris, NIST Statistical Reference Datasets, linear regression"

    def read(self, root: DataRoot) -> Splits:
        table = read_table(path_of("norris.csv"))
        return {"train": tabular_split(table, [table.index("standard")], table.index("reading"), None)}
