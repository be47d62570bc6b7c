"""linear and polynomial: down along a power of what is left of the run."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.training.schedules.schedule import Schedule

__all__ = ["Linear", "Polynomial"]


@dataclass(frozen=True)
class Polynomial(Schedule):
    """From the base rate at the first step to `end` times it behind the last one, as the `power` of the part of the run that is left.

    power: 1 is a straight line; larger ones fall faster at first
    end:   a fraction of the base rate

    PyTorch's `PolynomialLR` with `total_iters` the run's steps, stepped after every batch.
    Source: Liu, Rabinovich, Berg 2015, "ParseNet"; Chen et al. 2018, "DeepLab", where it trains segmentation with power 0.9.

    >>> [Polynomial(power=2).rate(step, 4, 2, base=0.16) for step in range(4)]
    [0.16, 0.09, 0.04, 0.01]
    """

    power: float = 0.9
    end: float = 0.0

    name = "polynomial"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        left = 1 - min(step / max(total_steps, 1), 1.0)
        return base * (self.end + (1 - self.end) * left**self.power)


@dataclass(frozen=True)
class Linear(Schedule):
    """From the base rate at the first step to `end` times it behind the last one, along a straight line.

    end: a fraction of the base rate

    PyTorch's `LinearLR` with `start_factor` 1, `end_factor` end and `total_iters` the run's steps, stepped after every batch.

    >>> [round(Linear(end=0.5).rate(step, 4, 2, base=0.8), 3) for step in range(4)]
    [0.8, 0.7, 0.6, 0.5]
    """

    end: float = 0.0

    name = "linear"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        return Polynomial(power=1.0, end=self.end).rate(step, total_steps, steps_per_epoch, base)
