"""advance_rng: the next step's random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet.op import Initial, Op, Sample
from flownet.ops.random.rng import RNG, check_rng
from flownet.types import Dim, TensorType

__all__ = ["AdvanceRng"]


@dataclass(frozen=True)
class AdvanceRng(Op):
    """The state of the random ops for the next step: (seed, step) -> (seed, step + 1), the step modulo 2³².

    Every training graph that draws random numbers has one, added by itself.

    Shapes: rng uint32[2] -> uint32[2], which becomes the state's next value.
    """

    name = "advance_rng"
    category = "random"
    updates = {"rng": "y"}

    def infer(self, rng: TensorType | None = None) -> TensorType:
        check_rng(self.name, rng)
        return RNG.type

    def states(self) -> Mapping[str, Initial]:
        return {"rng": RNG}

    def forward(self, rng: np.ndarray) -> np.ndarray:
        return rng + np.array([0, 1], np.uint32)

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"rng": np.array([7, 41], np.uint32)}, {"y": np.array([7, 42], np.uint32)})
        yield Sample(
            cls(),
            {"rng": np.array([7, 2**32 - 1], np.uint32)},
            {"y": np.array([7, 0], np.uint32)},
            note="it goes round",
        )
