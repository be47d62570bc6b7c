"""Central differences: the gradient as its definition gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Differences", "central_differences"]

_STEP = 1e-5
_MOST_ELEMENTS = 48  # of one input; of more, the corners and a random choice are taken


@dataclass(frozen=True)
class Differences:
    """Derivatives at some elements of an input.

    places: flat indices
    values: the derivatives there
    smooth: where the derivatives to the two sides agree, that is, there is no kink
    noise:  what rounding may make of each derivative
    """

    places: np.ndarray
    values: np.ndarray
    smooth: np.ndarray
    noise: float


def central_differences(
    function: Callable[[Mapping[str, np.ndarray]], float], inputs: Mapping[str, np.ndarray], name: str
) -> Differences:
    """The derivatives of `function` with respect to elements of input `name`, in float64.

    (f(x + h) − f(x − h)) / 2h with h = 1e-5: the error of the method is about h² = 1e-10, that of rounding
    1e-16 · |f| / h. Where the differences to the two sides disagree, x is at a kink, and `smooth` is False.
    """
    x = inputs[name].astype(np.float64)
    size = x.size
    places = np.arange(size)
    if size > _MOST_ELEMENTS:
        inner = np.random.default_rng(5).choice(size - 2, _MOST_ELEMENTS - 2, replace=False) + 1
        places = np.sort(np.concatenate([[0], inner, [size - 1]]))
    here = function(inputs)
    values, smooth = [], []
    largest = 0.0
    for place in places:
        sides, steps = [], []
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[place] += sign * _STEP
            steps.append(moved.flat[place] - x.flat[place])  # what rounding left of it: 1e4 + 1e-5 is not exact
            sides.append(function({**inputs, name: moved}))
        values.append((sides[0] - sides[1]) / (steps[0] - steps[1]))
        right, left = (sides[0] - here) / steps[0], (sides[1] - here) / steps[1]
        smooth.append(abs(right - left) <= 1e-2 * max(abs(right), abs(left)) + 1e-4 or not np.isfinite(right - left))
        largest = max(largest, abs(here))
    return Differences(places, np.array(values), np.array(smooth, bool), 1e-16 * max(1.0, largest) / _STEP)
