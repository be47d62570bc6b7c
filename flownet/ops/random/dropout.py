"""dropout: random elements set to zero while training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.expression import parse
from flownet.op import Elementwise, Initial, Op, Sample
from flownet.ops.activation.identity import Identity
from flownet.ops.random.random_uniform import RandomUniform
from flownet.ops.random.rng import RNG, check_rng
from flownet.ops.requirements import bad_attribute, require_float
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Dropout"]


@dataclass(frozen=True)
class Dropout(Op):
    """The input with random elements set to zero and the others scaled up, so that their mean stays: y = x · m / (1
    − rate).

    The mask m is 1 where `random_uniform` is at least `rate`. Outside of training it does nothing (`identity`).

    rate: the share of elements that are dropped, at least 0 and below 1

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · m / (1 − rate), with the same mask.
    Random numbers: of the node's own stream, by seed and step, so that they come again after a resume and on every
    device.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014.
    """

    rate: float = 0.5

    name = "dropout"
    category = "layer"

    def checked(self) -> None:
        if not 0 <= self.rate < 1:
            raise bad_attribute(self.name, "rate", "at least 0 and below 1", self.rate)

    def infer(self, x: TensorType, rng: TensorType | None = None) -> TensorType:
        require_float(self.name, x=x)
        check_rng(self.name, rng)
        return x

    def states(self) -> Mapping[str, Initial]:
        return {"rng": RNG}

    def expand(self, g: Builder, x: Value, rng: Value) -> Value:
        u = g.add(RandomUniform(x.type.shape, dtype=x.type.dtype.value), rng=rng)  # type: ignore[arg-type]
        scale = 1 / (1 - self.rate)
        kept, gradient = (parse(f"where(u >= {self.rate}, {operand} * {scale}, 0)") for operand in ("x", "dy"))
        return g.add(Elementwise((("y", kept),), ("x", "u"), (("x", gradient),)), x=x, u=u)

    def inference(self) -> Op:
        return Identity()

    def flops(self, x: TensorType) -> Dim:
        return x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.array([7, 41], np.uint32)
        yield Sample(cls(0.0), {"x": [[1.0, -2.0], [3.0, 4.0]], "rng": rng}, {"y": [[1.0, -2.0], [3.0, 4.0]]})
        yield Sample(cls(0.5), {"x": [[1.0, -2.0, 3.0], [4.0, 5.0, 6.0]], "rng": rng})
