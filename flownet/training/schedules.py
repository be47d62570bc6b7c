"""Learning-rate schedules: the rate of a step, as a function of where the step stands in the whole run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from flownet.errors import FlownetError

__all__ = ["BUILTIN", "Schedule"]


class Schedule:
    """Base class: `rate` is all there is."""

    name: ClassVar[str]

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        """The learning rate of `step` (from 0) out of `total_steps`; `base` is the optimiser's `learning_rate`."""
        raise NotImplementedError(f"{type(self).__name__}.rate")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate always."""

    name = "constant"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        return base


@dataclass(frozen=True)
class Step(Schedule):
    """The rate times gamma at each milestone.

    milestones: epochs at whose beginning the rate falls, counted from 0
    every:      instead: it falls every so many epochs
    gamma:      the factor
    """

    milestones: tuple[int, ...] = ()
    every: int | None = None
    gamma: float = 0.1

    name = "step"

    def checked(self) -> None:
        if bool(self.milestones) == (self.every is not None):
            raise FlownetError.of("bad-attribute", "`milestones` of `step` must be given, or `every`, and not both")
        if self.every is not None and self.every < 1:
            raise FlownetError.of("bad-attribute", f"`every` of `step` must be at least 1, got {self.every}")

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        epoch = step // steps_per_epoch
        passed = epoch // self.every if self.every else sum(epoch >= milestone for milestone in self.milestones)
        return base * self.gamma**passed


@dataclass(frozen=True)
class Cosine(Schedule):
    """From the base rate to `final` times it, along half a cosine (Loshchilov, Hutter 2016)."""

    final: float = 0.0

    name = "cosine"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        return base * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * step / max(total_steps, 1))))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """From `start` times the rate to the rate itself over `steps` steps, then as another schedule says."""

    steps: int
    start: float = 0.0
    then: Schedule = field(default_factory=Constant)

    name = "warm_up"

    def checked(self) -> None:
        if self.steps < 1:
            raise FlownetError.of("bad-attribute", f"`steps` of `warm_up` must be at least 1, got {self.steps}")

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        rate = self.then.rate(step, total_steps, steps_per_epoch, base)
        return rate * (self.start + (1 - self.start) * step / self.steps) if step < self.steps else rate


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the base rate over the first part of the run, and down to nearly nothing over the rest, along cosines.

    rise:  the part of the run in which the rate rises
    start: where it starts, as a part of the base rate
    final: where it ends, as a part of the start

    Source: Smith, Topin: Super-Convergence, 2017, in the form of PyTorch's `OneCycleLR`, whose `max_lr` is the base rate.
    """

    rise: float = 0.3
    start: float = 0.04
    final: float = 1e-4

    name = "one_cycle"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        peak = max(self.rise * total_steps - 1, 1)
        if step <= peak:
            low, high, at = self.start, 1.0, step / peak
        else:
            low, high, at = 1.0, self.start * self.final, (step - peak) / max(total_steps - 1 - peak, 1)
        return base * (high + (low - high) * 0.5 * (1 + math.cos(math.pi * at)))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """From the base rate to `final` times it, as (1 − t)^power of the run's part t that is done; power 1 is a straight line."""

    power: float = 1.0
    final: float = 0.0

    name = "polynomial"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        left = 1 - step / max(total_steps, 1)
        return base * (self.final + (1 - self.final) * left**self.power)


BUILTIN = {cls.name: cls for cls in (Constant, Step, Cosine, Polynomial, WarmUp, OneCycle)}
