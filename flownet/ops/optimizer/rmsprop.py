"""rmsprop: steps scaled by the running root mean square of the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Optimizer, Sample
from flownet.ops.optimizer.moments import running_mean

__all__ = ["RmsProp"]


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """Steps along the gradient, each element scaled by the root of its running mean square: v ← α·v + (1 − α)·g²,
    θ ← θ − η · g / (√v + ε), with g = ∇ℓ + λ·θ.

    With momentum μ it keeps a velocity: u ← μ·u + g / (√v + ε), θ ← θ − η·u. `centered` keeps the running mean of g, too, and
    divides by the standard deviation √(v − mean²) instead.

    learning_rate: η; a schedule scales it
    alpha:         α, of the mean square
    epsilon:       ε, which keeps the quotient finite
    momentum:      μ; 0 keeps no velocity
    centered:      whether the standard deviation is divided by
    weight_decay:  λ, as if ½λ‖θ‖² were a part of the loss

    Shapes: parameter, gradient, v and the other states float32[…]; learning_rate float32[] -> new_parameter, new_v, … float32[…].
    Source: Tieleman, Hinton 2012, lecture 6.5; centered: Graves 2013. The form and defaults are PyTorch's.
    """

    learning_rate: float = 0.01
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    name = "rmsprop"

    def checked(self) -> None:
        self._check(below_one=("alpha", "momentum"), positive=("epsilon",))

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("v", *(("mean",) if self.centered else ()), *(("velocity",) if self.momentum else ()))

    @property
    def expression(self) -> Mapping[str, str]:  # type: ignore[override]
        slope = "(gradient + weight_decay * parameter)" if self.weight_decay else "gradient"
        v, mean = running_mean("v", self.alpha, f"{slope} * {slope}"), running_mean("mean", self.alpha, slope)
        direction = f"{slope} / (sqrt({f'{v} - {mean} * {mean}' if self.centered else v}) + epsilon)"
        new = {"v": v, "mean": mean}
        if self.momentum:
            direction = new["velocity"] = f"(momentum * velocity + {direction})"
        parameter = f"parameter - learning_rate * ({direction})"
        return {"new_parameter": parameter, **{f"new_{name}": new[name] for name in self.state_names}}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [1.0], "gradient": [2.0], "learning_rate": 0.5, "v": [14.0]}
        yield Sample(cls(alpha=0.5, epsilon=1.0), given, {"new_parameter": [0.75], "new_v": [9.0]})
        # v = 9 and a mean of √5, so that the standard deviation is 2
        yield Sample(cls(alpha=0.5, epsilon=2.0, momentum=0.5, centered=True), {**given, "mean": [2 * 5**0.5 - 2], "velocity": [3.0]},
                     {"new_parameter": [0.0], "new_v": [9.0], "new_mean": [5**0.5], "new_velocity": [2.0]})  # fmt: skip
