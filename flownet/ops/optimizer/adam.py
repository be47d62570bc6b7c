"""adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Optimizer, Sample
from flownet.ops.optimizer.moments import correction, running_mean

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps along the running mean of the gradient, each element scaled by the root of its running mean square:
    m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², θ ← θ − η · m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁^t) and v̂ = v / (1 − β₂^t)
    at step t, and g = ∇ℓ + λ·θ.

    learning_rate: η; a schedule scales it
    beta1:         β₁, of the mean
    beta2:         β₂, of the mean square
    epsilon:       ε, which keeps the quotient finite
    weight_decay:  λ, as if ½λ‖θ‖² were a part of the loss; `adamw` decays θ itself, which is mostly what is meant

    Shapes: parameter, gradient, m, v float32[…]; learning_rate, step float32[] -> new_parameter, new_m, new_v float32[…].
    Source: Kingma, Ba 2015, "Adam: a method for stochastic optimization".
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    name = "adam"
    needs_step = True

    def checked(self) -> None:
        self._check(below_one=("beta1", "beta2"), positive=("epsilon",))

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("m", "v")

    @property
    def expression(self) -> Mapping[str, str]:  # type: ignore[override]
        slope = "(gradient + weight_decay * parameter)" if self.weight_decay else "gradient"
        return self._update("parameter", slope)

    def _update(self, parameter: str, slope: str) -> Mapping[str, str]:
        m, v = running_mean("m", self.beta1, slope), running_mean("v", self.beta2, f"{slope} * {slope}")
        root = f"sqrt({v}) / sqrt({correction(self.beta2)})"
        step = f"learning_rate / {correction(self.beta1)} * {m} / ({root} + epsilon)"
        return {"new_parameter": f"{parameter} - {step}", "new_m": m, "new_v": v}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        first = {"parameter": [1.0, -2.0], "gradient": [0.5, -4.0], "learning_rate": 0.25, "step": 1.0}
        # at the first step m̂ = g and v̂ = g²: a step of nearly η against the sign
        yield Sample(cls(), {**first, "m": [0.0, 0.0], "v": [0.0, 0.0]},
                     {"new_parameter": [1 - 0.25 * 0.5 / (0.5 + 1e-8), -2 + 0.25 * 4 / (4 + 1e-8)], "new_m": [0.05, -0.4],
                      "new_v": [0.00025, 0.016]})  # fmt: skip
        # g = 2; m = 1.5 and v = 3, corrected by ¾: 2 and 4
        yield Sample(cls(beta1=0.5, beta2=0.5, epsilon=1.0, weight_decay=0.5),
                     {"parameter": [2.0], "gradient": [1.0], "learning_rate": 0.25, "step": 2.0, "m": [1.0], "v": [2.0]},
                     {"new_parameter": [2 - 0.25 * 2 / (2 + 1)], "new_m": [1.5], "new_v": [3.0]})  # fmt: skip
