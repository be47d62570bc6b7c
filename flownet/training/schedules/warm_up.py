"""warm_up: small rates at first, then another schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

from flownet.training.schedules.constant import Constant
from flownet.training.schedules.schedule import Schedule

__all__ = ["WarmUp"]


@dataclass(frozen=True)
class WarmUp(Schedule):
    """The rates of another schedule, the first ones made smaller: from `start` times them, along a straight line, to all of them.

    steps:  how many steps are made smaller
    epochs: instead of steps: so many epochs, 0.5 being half of one
    start:  the first factor
    then:   the other schedule, which counts its steps from the start of the run as always, so that its milestones stay where they are

    PyTorch's `LinearLR` chained with the other schedule, stepped after every batch.
    Source: He et al. 2015, section 4.2 (a tenth of the rate for the first 400 steps of ResNet-110); Goyal et al. 2017, the line.

    >>> schedule = WarmUp(steps=4, start=0.2)
    >>> [round(schedule.rate(step, 100, 10, base=0.5), 3) for step in range(6)]
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.5]
    """

    steps: int = 0
    epochs: float = 0.0
    start: float = 0.0
    then: Schedule = field(default_factory=Constant)

    name = "warm_up"

    def checked(self) -> None:
        super().checked()
        self._require("steps", bool(self.steps) != bool(self.epochs), "given and above 0, or `epochs`, and not both")

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        rate = self.then.rate(step, total_steps, steps_per_epoch, base)
        length = self.steps or self.epochs * steps_per_epoch
        if step >= length:
            return rate
        return rate * (self.start + (1 - self.start) * step / length)
