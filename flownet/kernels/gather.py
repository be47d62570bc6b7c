"""Rows by index, and their gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Gather", "ScatterAdd"]


@dataclass(frozen=True)
class Gather(Op):
    """`y[i, …] = table[index[i], …]`. Shapes: table [rows, ...], index int[n...] -> [n..., ...]. An index outside gives
    NaN, which the check of the loss finds."""

    name = "gather"
    category = "kernel"

    def infer(self, table: TensorType, index: TensorType) -> TensorType:
        return table.with_shape(*index.shape, *table.shape[1:])

    def forward(self, table: np.ndarray, index: np.ndarray) -> np.ndarray:
        inside = (index >= 0) & (index < len(table))
        rows = table[np.where(inside, index, 0)]
        return np.where(inside.reshape(index.shape + (1,) * (table.ndim - 1)), rows, table.dtype.type(np.nan))


@dataclass(frozen=True)
class ScatterAdd(Op):
    """The table of `rows` rows in which row `index[i]` is the sum of all such `x[i, …]`: the gradient of `Gather`."""

    rows: int

    name = "scatter_add"
    category = "kernel"

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        return x.with_shape(self.rows, *x.shape[index.rank :])

    def forward(self, x: np.ndarray, index: np.ndarray) -> np.ndarray:
        table = np.zeros((self.rows, *x.shape[index.ndim :]), x.dtype)
        inside = (index >= 0) & (index < self.rows)
        np.add.at(table, index[inside], x[inside])
        return table
