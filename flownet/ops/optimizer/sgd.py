"""sgd: stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Optimizer, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["Sgd"]


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent: θ ← (1 − ηλ)·θ − η·∇ℓ, with the learning rate η and the weight decay λ.

    With momentum μ it keeps a velocity: v ← μ·v + (∇ℓ + λ·θ), θ ← θ − η·v; Nesterov's looks ahead: θ ← θ − η·(∇ℓ + λ·θ + μ·v).
    That is PyTorch's form: the rate stands outside of the velocity, so that a change of the rate acts at once.

    learning_rate: η; a schedule scales it
    momentum:      μ, at least 0 and below 1; 0 keeps no velocity
    nesterov:      whether the gradient is followed from where momentum leads
    weight_decay:  λ, as if ½λ‖θ‖² were a part of the loss

    Shapes: parameter, gradient, velocity float32[…]; learning_rate float32[] -> new_parameter, new_velocity float32[…].
    Source: Robbins, Monro 1951; momentum: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    name = "sgd"

    def checked(self) -> None:
        self._check(below_one=("momentum",))
        if self.nesterov and not self.momentum:
            raise bad_attribute(self.name, "nesterov", "false without `momentum`", "true")

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @property
    def expression(self) -> Mapping[str, str]:  # type: ignore[override]
        if not self.momentum:
            kept = "(1 - learning_rate * weight_decay) * parameter" if self.weight_decay else "parameter"
            return {"new_parameter": f"{kept} - learning_rate * gradient"}
        slope = "(gradient + weight_decay * parameter)" if self.weight_decay else "gradient"
        velocity = f"(momentum * velocity + {slope})"
        direction = f"({slope} + momentum * {velocity})" if self.nesterov else velocity
        return {"new_parameter": f"parameter - learning_rate * {direction}", "new_velocity": velocity}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [1.0, -2.0], "gradient": [0.5, 4.0], "learning_rate": 0.25}
        yield Sample(cls(), given, {"new_parameter": [0.875, -3.0]})
        yield Sample(cls(weight_decay=0.5), given, {"new_parameter": [0.75, -2.75]})
        moving = {**given, "velocity": [2.0, -1.0]}
        yield Sample(cls(momentum=0.5), moving, {"new_parameter": [0.625, -2.875], "new_velocity": [1.5, 3.5]})
        yield Sample(cls(momentum=0.5, nesterov=True, weight_decay=0.5), moving,
                     {"new_parameter": [0.5, -3.0625], "new_velocity": [2.0, 2.5]})  # fmt: skip
