"""What optimisers share: states as large as the parameter, and updates named after them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from flownet.errors import FlownetError
from flownet.op.contract import Initial
from flownet.op.elementwise import ElementwiseOp
from flownet.types import TensorType

__all__ = ["Optimizer"]


@dataclass(frozen=True)
class Optimizer(ElementwiseOp):
    """Base class: an optimiser is `state_names`, `needs_step`, and an expression for `new_parameter` and each `new_<state>`.

    state_names: the states that it keeps for each parameter; they may depend on attributes, so that none is kept in vain
    needs_step:  whether its expressions use `step`
    """

    category = "optimizer"
    differentiable = ()
    needs_step: ClassVar[bool] = False

    @property
    def state_names(self) -> tuple[str, ...]:
        return ()

    @property
    def operands(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("parameter", "gradient", "learning_rate", *(("step",) if self.needs_step else ()), *self.state_names)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("new_parameter", *(f"new_{name}" for name in self.state_names))

    @property
    def updates(self) -> Mapping[str, str]:  # type: ignore[override]
        return {name: f"new_{name}" for name in ("parameter", *self.state_names)}

    def states(self, parameter: TensorType) -> Mapping[str, Initial]:
        return {name: Initial(parameter, is_parameter=False) for name in self.state_names}

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        results = super().result_types(types)
        for name in ("learning_rate", "step"):
            if name in types and types[name].rank:
                raise FlownetError.of(
                    "shape-mismatch", f"`{self.name}` takes one number as `{name}`, got {types[name]}"
                )
        for name in ("gradient", *self.state_names):
            if types[name] != types["parameter"]:
                raise FlownetError.of(
                    "shape-mismatch",
                    f"`{self.name}` takes a `{name}` like the parameter {types['parameter']}, got {types[name]}",
                )
        return results

    def _check(
        self, below_one: tuple[str, ...] = (), positive: tuple[str, ...] = (), at_least_zero: tuple[str, ...] = ()
    ) -> None:
        """Raise FlownetError (`bad-attribute`) for a value out of its range; `learning_rate` and `weight_decay` are at least 0."""
        rules = (
            (below_one, lambda value: 0 <= value < 1, "at least 0 and below 1"),
            (positive, lambda value: value > 0, "above 0"),
            (("learning_rate", "weight_decay", *at_least_zero), lambda value: value >= 0, "at least 0"),
        )
        for names, holds, must in rules:
            for name in names:
                value = getattr(self, name)
                if not (holds(value) and math.isfinite(value)):
                    raise FlownetError.of("bad-attribute", f"`{name}` of `{self.name}` must be {must}, got {value}")
