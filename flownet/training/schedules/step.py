"""step: a smaller rate from certain epochs on."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.training.schedules.schedule import Schedule

__all__ = ["Step"]


@dataclass(frozen=True)
class Step(Schedule):
    """The rate times `gamma` at each milestone, or every so many epochs.

    milestones: the epochs, counted from 0, from whose start on the rate is smaller
    every:      instead of milestones: after so many epochs each
    gamma:      the factor

    PyTorch's `MultiStepLR` and `StepLR`, stepped at the end of each epoch.

    >>> schedule = Step(milestones=(2, 3), gamma=0.5)
    >>> [schedule.rate(epoch * 10, 40, 10, base=0.4) for epoch in range(4)]
    [0.4, 0.4, 0.2, 0.1]
    """

    milestones: tuple[int, ...] = ()
    every: int | None = None
    gamma: float = 0.1

    name = "step"

    def checked(self) -> None:
        super().checked()
        self._require("milestones", all(epoch >= 0 for epoch in self.milestones), "epochs from 0 on")
        if self.every is None:
            self._require("milestones", bool(self.milestones), "given, unless `every` is")
        else:
            self._require("every", self.every >= 1, "at least 1")
            self._require("milestones", not self.milestones, "absent beside `every`")

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        epoch = step // steps_per_epoch
        passed = epoch // self.every if self.every else sum(epoch >= milestone for milestone in self.milestones)
        return base * self.gamma**passed
