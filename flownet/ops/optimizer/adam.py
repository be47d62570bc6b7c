"""adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Sample
from flownet.op.optimizer import Optimizer

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − η·m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).

    learning_rate: η
    beta1, beta2:  how slowly the moments forget
    epsilon:       ε
    weight_decay:  λ of an L2 term: g = ∇ℓ + λθ (for decay apart from the moments, take `adamw`)

    Shapes: parameter, gradient, m and v alike. Gradient: none.
    Care: 1 − βᵗ is computed by expm1, since β₂ᵗ rounds to nearly 1 in the first steps. Source: Kingma, Ba 2014.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    name = "adam"

    @property
    def memory(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def rule(self) -> Mapping[str, str]:
        return self.moments("(gradient + weight_decay * parameter)" if self.weight_decay else "gradient", "parameter")

    def moments(self, slope: str, start: str) -> Mapping[str, str]:
        """The rule for the gradient `slope`, with the step taken from `start`."""
        first = f"new_m / (-expm1(step * {math.log(self.beta1)!r}))"
        second = f"new_v / (-expm1(step * {math.log(self.beta2)!r}))"
        return {
            "new_m": f"beta1 * m + {1 - self.beta1!r} * {slope}",
            "new_v": f"beta2 * v + {1 - self.beta2!r} * {slope} * {slope}",
            "new_parameter": f"{start} - learning_rate * ({first}) / (sqrt({second}) + epsilon)",
        }

    def checked(self) -> None:
        super().checked()
        for name in ("beta1", "beta2"):
            self.require(name, "above 0 and below 1", 0 < getattr(self, name) < 1)
        self.require("epsilon", "above 0", self.epsilon > 0)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [2.0, -1.0], "gradient": [0.5, -4.0], "learning_rate": 0.1, "step": 1.0, "m": [0.0, 0.0], "v": [0.0, 0.0]}
        yield Sample(cls(), given, {"new_parameter": [1.9, -0.9], "new_m": [0.05, -0.4], "new_v": [0.00025, 0.016]},
                     note="the first step is as long as the rate, whatever the gradient's size")  # fmt: skip
