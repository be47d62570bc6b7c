"""Another element type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import DType, TensorType

__all__ = ["Cast"]


@dataclass(frozen=True)
class Cast(Op):
    """`x` in the element type `dtype`; towards integers rounded to zero."""

    dtype: DType

    name = "cast"
    category = "kernel"

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.astype(self.dtype.numpy)
