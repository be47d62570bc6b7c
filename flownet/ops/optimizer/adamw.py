"""adamw: Adam with weight decay apart from the moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Sample
from flownet.ops.optimizer.adam import Adam

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay apart from the moments: θ ← (1 − ηλ)θ, then Adam's step for ∇ℓ alone.

    learning_rate: η
    beta1, beta2:  how slowly the moments forget
    epsilon:       ε
    weight_decay:  λ

    Shapes: parameter, gradient, m and v alike. Gradient: none. Source: Loshchilov, Hutter 2017.
    """

    weight_decay: float = 0.01

    name = "adamw"

    @property
    def rule(self) -> Mapping[str, str]:
        return self.moments("gradient", "(1 - learning_rate * weight_decay) * parameter")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [2.0, -1.0], "gradient": [0.5, -4.0], "learning_rate": 0.1, "step": 1.0, "m": [0.0, 0.0], "v": [0.0, 0.0]}
        yield Sample(cls(weight_decay=0.5), given, {"new_parameter": [1.8, -0.85], "new_m": [0.05, -0.4], "new_v": [0.00025, 0.016]})
