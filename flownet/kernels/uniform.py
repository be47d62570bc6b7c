"""Counter-based random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import DType, TensorType

__all__ = ["Uniform"]


@dataclass(frozen=True)
class Uniform(Op):
    """The numbers of `random_uniform`, to the bit.

    Shapes: rng uint32[2], the state of the random ops (seed, step); stream uint32[1], what tells one node from another
    -> float32[shape].
    """

    shape: tuple[int, ...]

    name = "uniform"
    category = "kernel"

    def infer(self, rng: TensorType, stream: TensorType) -> TensorType:
        return TensorType(DType.float32, self.shape)

    def forward(self, rng: np.ndarray, stream: np.ndarray) -> np.ndarray:
        from flownet.ops.random.random_uniform import RandomUniform

        return RandomUniform(self.shape, int(stream[0])).forward(rng=rng)

    def flops(self, rng: TensorType) -> int:
        return 0
