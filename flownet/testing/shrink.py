"""From an input that shows a failure to the smallest that still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from flownet.testing.example import Example

__all__ = ["smallest"]


def smallest(example: Example, fails: Callable[[Example], bool], most_tries: int = 150) -> Example:
    """The example with sizes cut down and values rounded as far as `fails` stays true.

    Sizes that are equal are cut together (the inner sizes of a matrix product) and one by one.
    """
    tries = 0
    again = True
    while again and tries < most_tries:
        again = False
        for candidate in _smaller(example):
            tries += 1
            if tries > most_tries:
                break
            if fails(candidate):
                example, again = candidate, True
                break
    for digits in (0, 1, 2):
        rounded = {n: a.round(digits) if a.dtype.kind == "f" else a for n, a in example.inputs.items()}
        candidate = replace(example, inputs=rounded)
        if fails(candidate):
            return candidate
    return example


def _smaller(example: Example) -> Iterator[Example]:
    inputs = example.inputs
    sizes = sorted({size for array in inputs.values() for size in array.shape if size > 1}, reverse=True)
    for size in sizes:
        for target in _targets(size):
            cut = {
                name: _cut(array, [target if s == size else s for s in array.shape]) for name, array in inputs.items()
            }
            yield example.with_inputs(cut)
    for name, array in inputs.items():
        for axis, size in enumerate(array.shape):
            for target in _targets(size):
                if target < size:
                    shape = [target if i == axis else s for i, s in enumerate(array.shape)]
                    yield example.with_inputs({**inputs, name: _cut(array, shape)})


def _targets(size: int) -> list[int]:
    """Smaller sizes to try: the least, large steps, and the smallest step."""
    return sorted({1, size // 2, size - size // 8, size - 1} - {0, size})


def _cut(array: np.ndarray, shape: list[int]) -> np.ndarray:
    return np.ascontiguousarray(array[tuple(slice(0, size) for size in shape)]).reshape(shape)
