"""Central differences: the gradient as its definition gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Differences", "central_differences", "steady_differences"]

_STEP = 1e-5
_MOST_ELEMENTS = (
    48  # of one input; of more, the corners and a random choice are taken, a third as many of very large ones
)
_LARGE = 256


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
        count = (_MOST_ELEMENTS if size <= _LARGE else _MOST_ELEMENTS // 3) - 2
        inner = np.random.default_rng(5).choice(size - 2, count, replace=False) + 1
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


_RELATIVE_STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
_AGREEMENT = 1e-5


def steady_differences(function: Callable[[np.ndarray], np.ndarray], size: np.ndarray) -> SteadyDifferences:
    """Derivatives of independent functions, each of its own x of magnitude `size`, at any magnitude.

    function: shifts of all x -> the values there

    No step is right everywhere: at 1e4 the sine wants a small one, the square a large one. So there are several, and of two
    neighbouring steps those are taken whose differences agree best. `smooth` is False where none agree to 1e-5: at kinks,
    outside of the domain, and where rounding is all that is left.
    """
    estimates, rounding = [], []
    with np.errstate(all="ignore"):
        for relative in _RELATIVE_STEPS:
            step = relative * size
            right, left = function(step), function(-step)
            estimates.append((right - left) / (2 * step))
            rounding.append(4 * np.finfo(np.float64).eps * np.maximum(np.abs(right), np.abs(left)) / step)
        table = np.array(estimates)
        apart = np.abs(table[1:] - table[:-1]) + np.array(rounding[1:])
    apart[~np.isfinite(apart)] = np.inf
    best = np.argmin(apart, axis=0)
    columns = np.arange(table.shape[1])
    values, noise = table[best + 1, columns], apart[best, columns]
    return SteadyDifferences(values, noise <= _AGREEMENT * np.abs(values) + 1e-12, noise)


@dataclass(frozen=True)
class SteadyDifferences:
    """Derivatives, where they can be trusted, and by how much two steps disagree about each."""

    values: np.ndarray
    smooth: np.ndarray
    noise: np.ndarray
