"""random_uniform: numbers in [0, 1) that depend on seed, step and node alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Initial, Op, Sample
from flownet.ops.random.philox import philox4x32
from flownet.ops.random.rng import RNG, check_rng
from flownet.ops.requirements import bad_attribute
from flownet.ops.shape.sizes import bad_size, bound
from flownet.types import Dim, DType, Symbolic, TensorType

__all__ = ["RandomUniform"]

_BLOCK = 1 << 15  # counters at a time: what is worked with stays in the cache


@dataclass(frozen=True)
class RandomUniform(Op):
    """Random numbers, uniform in [0, 1), which are a function of seed, step, stream and place, on every device the
    same.

    With i the place of an element (the last axis runs fastest) and (seed, step) the state `rng`, element i is word i
    mod 4 of Philox4x32-10 of the counter (i div 4, step, 0, 0) and the key (seed, stream); its upper 24 bits times
    2⁻²⁴ are the number, which float32 holds exactly:

        y[i] = (philox4x32_10((i / 4, step, 0, 0), (seed, stream))[i % 4] >> 8) * 0x1p-24f

    shape:  numbers or symbols; absent: that of the input `like`
    stream: 32 bits that tell one random node from another; absent: the CRC-32 of the node's name
    dtype:  the element type, in either of which the numbers are the same

    Shapes: like float32[...] (optional), rng uint32[2] -> float32[...].
    State: `rng` = (seed, step), one for the whole graph; `advance_rng` counts the step at the end of each training
    step.
    Gradient: none.
    Source: `flownet.ops.random.philox`.
    """

    shape: tuple[int | Symbolic, ...] | None = None
    stream: int | None = None
    dtype: Literal["float32", "float64"] = "float32"

    name = "random_uniform"
    category = "random"
    differentiable = ()

    def checked(self) -> None:
        bad_size(self.name, self.shape or (), at_least=0)
        if self.stream is not None and not 0 <= self.stream < 1 << 32:
            raise bad_attribute(self.name, "stream", "a number of 32 bits, 0 to 4294967295", self.stream)
        if self.dtype not in ("float32", "float64"):
            raise bad_attribute(self.name, "dtype", "`float32` or `float64`", f"`{self.dtype}`")

    def placed(self, node: str) -> RandomUniform:
        return self if self.stream is not None else replace(self, stream=crc32(node.encode()))

    def bind(self, sizes: Mapping[str, int]) -> RandomUniform:
        return self if self.shape is None else replace(self, shape=bound(self.shape, sizes))

    def infer(self, like: TensorType | None = None, rng: TensorType | None = None) -> TensorType:
        check_rng(self.name, rng)
        if self.shape is not None:
            return TensorType(DType.of(self.dtype), self.shape)
        if like is None:
            raise FlownetError.of(
                "missing-input",
                "`random_uniform` has neither `shape` nor an input",
                help="write `random_uniform: {shape: [N, 10]}`",
            )
        return TensorType(DType.of(self.dtype), like.shape)

    def states(self) -> Mapping[str, Initial]:
        return {"rng": RNG}

    def forward(self, like: np.ndarray | None = None, rng: np.ndarray | None = None) -> np.ndarray:
        assert rng is not None, "states() declares it"
        shape = self.shape if self.shape is not None else like.shape  # type: ignore[union-attr]
        size = math.prod(shape)  # type: ignore[arg-type]  # bound by now
        seed, step = (int(word) for word in rng)
        count = -(-size // 4)
        numbers = np.empty((count, 4), self.dtype)
        for start in range(0, count, _BLOCK):
            counters = np.arange(start, min(start + _BLOCK, count))
            for place, words in enumerate(philox4x32((counters, step, 0, 0), (seed, self.stream or 0))):
                numbers[start : start + _BLOCK, place] = words >> np.uint64(8)
        numbers *= numbers.dtype.type(2.0**-24)
        return numbers.reshape(-1)[:size].reshape(shape)  # type: ignore[arg-type]  # bound by now

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # the authors' vector for counter 0 and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8
        words = (0x6627E8, 0xE169C5, 0xBC57AC, 0x9B00DB)
        rng = np.zeros(2, np.uint32)
        yield Sample(cls(shape=(2, 2), stream=0), {"rng": rng}, {"y": (np.array(words) / 2**24).reshape(2, 2)})
        yield Sample(cls(stream=7), {"like": [[0.0, 0.0, 0.0]], "rng": rng}, note="of the shape of an input")
