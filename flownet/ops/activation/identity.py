"""identity: what goes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.op import Op, Sample
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity(Op):
    """Its input, unchanged: y = x. It gives a value another name, and is what `dropout` is outside of training.

    Shapes: any -> the same; the output is the input's memory, nothing runs.
    Gradient: dx = dy.
    """

    name = "identity"
    category = "activation"
    is_view = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {"x": douts["y"]}

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[1.0, -2.0], [0.5, 3.0]]}, {"y": [[1.0, -2.0], [0.5, 3.0]]})
