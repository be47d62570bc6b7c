"""embedding: rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.initialisers import Normal
from flownet.op import Initial, Op, Sample
from flownet.ops.requirements import bad_attribute, mismatch
from flownet.types import Dim, DType, TensorType

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding(Op):
    """The rows of a table that the indices name: y[…] = weight[indices[…]].

    rows:  how many there are; indices are 0 … rows − 1
    units: the length of a row

    Shapes: indices int32[...] (any integers), weight float32[rows, units] -> float32[..., units].
    Parameters: weight starts by a normal distribution of standard deviation 1, as PyTorch's.
    Gradient: each row gets the sum of dy from everywhere it was taken.
    Errors: `index-out-of-range` while running, for an index that is no row.
    Source: Bengio, Ducharme, Vincent, Jauvin 2003, "A neural probabilistic language model".
    """

    rows: int
    units: int

    name = "embedding"
    category = "layer"
    differentiable = ("weight",)

    def checked(self) -> None:
        for attribute in ("rows", "units"):
            if getattr(self, attribute) < 1:
                raise bad_attribute(self.name, attribute, "at least 1", getattr(self, attribute))

    def infer(self, indices: TensorType, weight: TensorType | None = None) -> TensorType:
        if not indices.dtype.is_integer:
            raise FlownetError.of("dtype-mismatch", f"`embedding` takes whole numbers as `indices`, got {indices}")
        dtype = DType.float32 if weight is None else weight.dtype
        if weight is not None and (weight.shape != (self.rows, self.units) or not dtype.is_float):
            raise mismatch(self.name, f"a weight float32[{self.rows}, {self.units}]", weight)
        return TensorType(dtype, (*indices.shape, self.units))

    def parameters(self, indices: TensorType) -> Mapping[str, Initial]:
        return {
            "weight": Initial(
                TensorType(DType.float32, (self.rows, self.units)), Normal(std=1.0), self.rows, self.units
            )
        }

    def check_fed(self, indices: np.ndarray) -> None:
        """Raise FlownetError (`index-out-of-range`) for an index that is no row."""
        if indices.size and not (indices.min() >= 0 and indices.max() < self.rows):
            wrong = indices[(indices < 0) | (indices >= self.rows)].ravel()[0]
            raise FlownetError.of("index-out-of-range", f"`embedding` has {self.rows} rows, got the index {wrong}")

    def forward(self, indices: np.ndarray, weight: np.ndarray) -> np.ndarray:
        self.check_fed(indices)
        return weight[indices]

    def backward_weight(self, indices: np.ndarray, weight: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dweight = np.zeros_like(weight)
        np.add.at(dweight, indices.reshape(-1), dy.reshape(-1, self.units))
        return dweight

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        table = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
        indices = np.array([[2, 0], [2, 1]], np.int32)
        yield Sample(
            cls(3, 2),
            {"indices": indices, "weight": table},
            {"y": [[[5.0, 6.0], [1.0, 2.0]], [[5.0, 6.0], [3.0, 4.0]]]},
        )
