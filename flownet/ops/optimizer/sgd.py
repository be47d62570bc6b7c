"""sgd: stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Sample
from flownet.op.optimizer import Optimizer

__all__ = ["Sgd"]


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent: θ ← (1 − ηλ)θ − η∇ℓ; with momentum v ← μv + ∇ℓ + λθ, θ ← θ − ηv.

    learning_rate: η
    momentum:      μ
    nesterov:      θ ← θ − η(∇ℓ + λθ + μv), with the v of this step: the gradient is looked at where momentum leads
    weight_decay:  λ

    Shapes: parameter, gradient and velocity alike. Gradient: none.
    Source: Robbins, Monro 1951; momentum, Polyak 1964 in the form of Sutskever, Martens, Dahl, Hinton 2013 that PyTorch has.
    """

    momentum: float = 0.0
    nesterov: bool = False

    name = "sgd"

    @property
    def memory(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @property
    def rule(self) -> Mapping[str, str]:
        if not self.momentum:
            kept = "(1 - learning_rate * weight_decay) * parameter" if self.weight_decay else "parameter"
            return {"new_parameter": f"{kept} - learning_rate * gradient"}
        slope = "(gradient + weight_decay * parameter)" if self.weight_decay else "gradient"
        step = f"({slope} + momentum * new_velocity)" if self.nesterov else "new_velocity"
        return {
            "new_velocity": f"momentum * velocity + {slope}",
            "new_parameter": f"parameter - learning_rate * {step}",
        }

    def checked(self) -> None:
        super().checked()
        self.require("momentum", "at least 0 and below 1", 0 <= self.momentum < 1)
        self.require("nesterov", "false where there is no momentum", not self.nesterov or self.momentum > 0)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [2.0, -1.0], "gradient": [0.5, 1.0], "learning_rate": 0.1}
        yield Sample(cls(weight_decay=0.5), given, {"new_parameter": [1.85, -1.05]}, note="0.95·2 − 0.05, −0.95 − 0.1")
        yield Sample(cls(momentum=0.5), given | {"velocity": [1.0, 0.0]},
                     {"new_parameter": [1.9, -1.1], "new_velocity": [1.0, 1.0]})  # fmt: skip
        yield Sample(cls(momentum=0.5, nesterov=True), given | {"velocity": [1.0, 0.0]},
                     {"new_parameter": [1.9, -1.15], "new_velocity": [1.0, 1.0]})  # fmt: skip
