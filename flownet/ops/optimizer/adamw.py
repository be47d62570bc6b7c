"""adamw: adam with weight decay that is not scaled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flownet.op import Sample
from flownet.ops.optimizer.adam import Adam

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay acts on the parameter itself, all elements alike: θ ← (1 − ηλ)·θ − η · m̂ / (√v̂ + ε).

    m̂ and v̂ are as `adam`'s, of ∇ℓ alone.

    learning_rate: η; a schedule scales it
    beta1:         β₁, of the mean
    beta2:         β₂, of the mean square
    epsilon:       ε, which keeps the quotient finite
    weight_decay:  λ

    Shapes: parameter, gradient, m, v float32[…]; learning_rate, step float32[] -> new_parameter, new_m, new_v float32[…].
    Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization"; the form and defaults are PyTorch's.
    """

    weight_decay: float = 0.01

    name = "adamw"

    @property
    def expression(self) -> Mapping[str, str]:  # type: ignore[override]
        kept = "(1 - learning_rate * weight_decay) * parameter" if self.weight_decay else "parameter"
        return self._update(kept, "gradient")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # g = 2; m = 1.5 and v = 3, corrected by ¾: 2 and 4; and an eighth of θ decays
        yield Sample(cls(beta1=0.5, beta2=0.5, epsilon=1.0, weight_decay=0.5),
                     {"parameter": [2.0], "gradient": [2.0], "learning_rate": 0.25, "step": 2.0, "m": [1.0], "v": [2.0]},
                     {"new_parameter": [1.75 - 0.25 * 2 / (2 + 1)], "new_m": [1.5], "new_v": [3.0]})  # fmt: skip
