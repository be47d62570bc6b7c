"""constant: the base rate throughout."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.training.schedules.schedule import Schedule

__all__ = ["Constant"]


@dataclass(frozen=True)
class Constant(Schedule):
    """The base rate throughout.

    >>> Constant().rate(7, 100, 10, base=0.1)
    0.1
    """

    name = "constant"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        return base
