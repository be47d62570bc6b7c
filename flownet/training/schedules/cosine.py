"""cosine: down along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flownet.training.schedules.schedule import Schedule

__all__ = ["Cosine"]


@dataclass(frozen=True)
class Cosine(Schedule):
    """From the base rate at the first step to `end` times it behind the last one, along half a cosine.

    end: a fraction of the base rate

    PyTorch's `CosineAnnealingLR` with `T_max` the run's steps and `eta_min` = end · base, stepped after every batch.
    Source: Loshchilov, Hutter 2017, "SGDR", without restarts.

    >>> [round(Cosine().rate(step, 4, 2, base=0.4), 3) for step in range(4)]
    [0.4, 0.341, 0.2, 0.059]
    """

    end: float = 0.0

    name = "cosine"

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        done = min(step / max(total_steps, 1), 1.0)
        return base * (self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * done)))
