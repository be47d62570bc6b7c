"""Images blocked by channel: [n, c, ...] as [n, ceil(c / v), ..., v], zeros past the last channel.

The innermost axis holds v neighbouring channels of one pixel, a vector register full. Elementwise kernels, reductions and
pools run on such images as on any others; only these two reorders know what the axes mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Block", "Unblock", "block", "unblock"]


def block(x: np.ndarray, v: int) -> np.ndarray:
    """[n, c, ...] -> [n, ceil(c / v), ..., v]."""
    n, c, *rest = x.shape
    padded = np.zeros((n, -(-c // v) * v, *rest), x.dtype)
    padded[:, :c] = x
    return np.ascontiguousarray(np.moveaxis(padded.reshape(n, -1, v, *rest), 2, -1))


def unblock(x: np.ndarray, channels: int) -> np.ndarray:
    """[n, ceil(c / v), ..., v] -> [n, c, ...]."""
    n, blocks, *rest, v = x.shape
    return np.ascontiguousarray(np.moveaxis(x, -1, 2).reshape(n, blocks * v, *rest)[:, :channels])


@dataclass(frozen=True)
class Block(Op):
    """[n, c, ...] -> [n, ceil(c / v), ..., v]."""

    v: int

    name = "block"
    category = "kernel"

    def infer(self, x: TensorType) -> TensorType:
        n, c, *rest = x.shape
        return x.with_shape(n, -(-c // self.v), *rest, self.v)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return block(x, self.v)

    def flops(self, x: TensorType) -> int:
        return 0


@dataclass(frozen=True)
class Unblock(Op):
    """[n, ceil(c / v), ..., v] -> [n, c, ...]."""

    channels: int

    name = "unblock"
    category = "kernel"

    def infer(self, x: TensorType) -> TensorType:
        n, _, *rest, _ = x.shape
        return x.with_shape(n, self.channels, *rest)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return unblock(x, self.channels)

    def flops(self, x: TensorType) -> int:
        return 0
