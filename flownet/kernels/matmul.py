"""Matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import Dim, TensorType

__all__ = ["MatMul"]


@dataclass(frozen=True)
class MatMul(Op):
    """`op(a) @ op(b)`, op being transposition of the last two axes where asked.

    Shapes: a [..., m, k], b [..., k, n] -> [..., m, n]; leading axes are equal, or absent from one of the two, which then serves
    the whole batch.
    """

    transposed_a: bool = False
    transposed_b: bool = False

    name = "matrix_product"
    category = "kernel"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        m = a.shape[-1] if self.transposed_a else a.shape[-2]
        n = b.shape[-2] if self.transposed_b else b.shape[-1]
        lead = a.shape[:-2] or b.shape[:-2]
        return a.with_shape(*lead, m, n)

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.matmul(a.swapaxes(-1, -2) if self.transposed_a else a, b.swapaxes(-1, -2) if self.transposed_b else b)

    def multiply_adds(self, a: TensorType, y: TensorType) -> Dim:
        return y.size * (a.shape[-2] if self.transposed_a else a.shape[-1])
