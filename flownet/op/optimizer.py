"""What an optimiser is: an elementwise op from a parameter and its gradient to the parameter's next value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from flownet.errors import FlownetError
from flownet.expression import Expression, names, parse
from flownet.op.contract import Initial
from flownet.op.elementwise import ElementwiseOp
from flownet.types import TensorType

__all__ = ["Optimizer"]


@dataclass(frozen=True)
class Optimizer(ElementwiseOp):
    """Base class of optimisers. A subclass says by `rule` what happens to one element.

    Operands are `parameter`, `gradient`, `learning_rate` (a scalar that the schedule sets at each step), `step` (a scalar
    that counts from 1) and the names of `memory`; those that the rule does not use are not there.

    learning_rate: the base rate, which the schedule scales
    weight_decay:  λ, in every optimiser's own sense
    """

    learning_rate: float = 0.01
    weight_decay: float = 0.0

    category: ClassVar[str] = "optimizer"
    differentiable: ClassVar[tuple[str, ...] | None] = ()

    @property
    def memory(self) -> tuple[str, ...]:
        """The names of what is kept for each element from step to step; it starts at 0."""
        return ()

    @property
    def rule(self) -> Mapping[str, str]:
        """Output -> expression: `new_parameter`, and `new_<name>` for each name of the memory, which others may use."""
        raise NotImplementedError(f"{type(self).__name__}.rule")

    @property
    def expression(self) -> Mapping[str, str]:  # type: ignore[override]
        return self.rule

    @property
    def operands(self) -> tuple[str, ...]:  # type: ignore[override]
        used = {name for text in self.rule.values() for name in names(parse(text))}
        scalars = tuple(name for name in ("learning_rate", "step") if name in used)
        return ("parameter", "gradient", *scalars, *self.memory)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("new_parameter", *(f"new_{name}" for name in self.memory))

    @property
    def updates(self) -> Mapping[str, str]:  # type: ignore[override]
        return {name: f"new_{name}" for name in ("parameter", *self.memory)}

    def expressions(self) -> Mapping[str, Expression]:
        found = super().expressions()  # in the order of the rule, in which one may use what stands above it
        return {output: found[output] for output in self.outputs}

    def states(self, parameter: TensorType) -> Mapping[str, Initial]:
        return {name: Initial(parameter, is_parameter=False) for name in self.memory}

    def checked(self) -> None:
        self.require("learning_rate", "at least 0", self.learning_rate >= 0)
        self.require("weight_decay", "at least 0", self.weight_decay >= 0)

    def require(self, attribute: str, must: str, holds: bool) -> None:
        """Raise FlownetError (`bad-attribute`) unless it holds."""
        if not holds:
            raise FlownetError.of(
                "bad-attribute", f"`{attribute}` of `{self.name}` must be {must}, got {getattr(self, attribute)}"
            )
