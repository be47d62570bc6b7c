"""What a schedule is."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import ClassVar

from flownet.errors import FlownetError

__all__ = ["Schedule"]


class Schedule:
    """Base class. Subclasses are frozen dataclasses; `name` is what a graph file writes, fields are its options."""

    name: ClassVar[str]

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        """The learning rate of a step.

        step:            counts from 0, through all epochs
        total_steps:     of the whole run
        steps_per_epoch: batches in an epoch
        base:            the optimiser's `learning_rate`
        """
        raise NotImplementedError(f"{type(self).__name__}.rate")

    def checked(self) -> None:
        """Check the options' values. Raises FlownetError naming the option."""
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, (int, float)):
                self._require(field.name, math.isfinite(value) and value >= 0, "at least 0")

    def _require(self, option: str, holds: bool, must: str) -> None:
        if not holds:
            value = getattr(self, option)
            shown = list(value) if isinstance(value, tuple) else value
            raise FlownetError.of("bad-option", f"`{option}` of `{self.name}` must be {must}, got {shown}")
