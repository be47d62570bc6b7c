"""rmsprop: steps scaled by the running size of the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Sample
from flownet.op.optimizer import Optimizer

__all__ = ["RmsProp"]


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """RMSprop: s ← αs + (1 − α)g², θ ← θ − η·g / (√s + ε); with momentum b ← μb + g / (√s + ε), θ ← θ − ηb.

    learning_rate: η
    alpha:         how slowly s forgets
    epsilon:       ε
    momentum:      μ
    weight_decay:  λ of an L2 term: g = ∇ℓ + λθ

    Shapes: parameter, gradient, square and buffer alike. Gradient: none. Source: Tieleman, Hinton 2012 (lecture 6.5), in the
    form that PyTorch has.
    """

    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0

    name = "rmsprop"

    @property
    def memory(self) -> tuple[str, ...]:
        return ("square", "buffer") if self.momentum else ("square",)

    @property
    def rule(self) -> Mapping[str, str]:
        slope = "(gradient + weight_decay * parameter)" if self.weight_decay else "gradient"
        square = {"new_square": f"alpha * square + {1 - self.alpha!r} * {slope} * {slope}"}
        scaled = f"{slope} / (sqrt(new_square) + epsilon)"
        if not self.momentum:
            return {**square, "new_parameter": f"parameter - learning_rate * {scaled}"}
        return {
            **square,
            "new_buffer": f"momentum * buffer + {scaled}",
            "new_parameter": "parameter - learning_rate * new_buffer",
        }

    def checked(self) -> None:
        super().checked()
        self.require("alpha", "at least 0 and below 1", 0 <= self.alpha < 1)
        self.require("momentum", "at least 0 and below 1", 0 <= self.momentum < 1)
        self.require("epsilon", "above 0", self.epsilon > 0)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"parameter": [2.0, -1.0], "gradient": [0.5, -4.0], "learning_rate": 0.1, "square": [0.0, 0.0]}
        yield Sample(cls(alpha=0.75), given, {"new_parameter": [1.8, -0.8], "new_square": [0.0625, 4.0]})
