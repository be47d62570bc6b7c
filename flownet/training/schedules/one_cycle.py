"""one_cycle: up to the base rate, and down to nearly nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flownet.training.schedules.schedule import Schedule

__all__ = ["OneCycle"]


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From `start` times the base rate up to all of it, and down to `end` times it at the last step, each along half a cosine.

    peak:  the part of the run that leads up, 0.3 being three tenths
    start: the first rate, as a fraction of the base rate
    end:   the last rate, as a fraction of the base rate

    PyTorch's `OneCycleLR` with `max_lr` the base rate, `pct_start` = peak, `div_factor` = 1 / start and `final_div_factor` =
    start / end, stepped after every batch; momentum stays as it is. The defaults are the same.
    Source: Smith, Topin 2018, "Super-convergence".

    >>> [round(OneCycle(peak=0.5, start=0.1, end=0).rate(step, 5, 5, base=1.0), 3) for step in range(5)]
    [0.1, 0.775, 0.905, 0.345, 0.0]
    """

    peak: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    name = "one_cycle"

    def checked(self) -> None:
        super().checked()
        self._require("peak", self.peak <= 1, "from 0 to 1")

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, base: float) -> float:
        top, last = self.peak * total_steps - 1, total_steps - 1
        if step <= top and top > 0:
            return base * _between(self.start, 1.0, step / top)
        return base * _between(1.0, self.end, min((step - top) / (last - top), 1.0) if last > top else 1.0)


def _between(first: float, last: float, done: float) -> float:
    """From the first value to the last along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))
