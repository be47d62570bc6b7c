"""The examples of an op at sizes that its author did not write down: larger, and odd.

A tail that is one block wide, a loop of 256, a row that starts at a multiple of 8: such mistakes do not show at the sizes
of samples, which are small so that people can work them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, zip_longest

import numpy as np

from flownet.testing.example import Example

__all__ = ["larger", "larger_of_all"]

_LONG = (1031, 263, 67)  # primes just above the sizes of blocks that people take: 1024, 256, 64
_ODD = (37, 19, 11, 7)
_MOST_ELEMENTS = 1 << 16
_FAR_OUT = 1e3

Resize = Callable[[str, int, int], int]  # (input, axis, size) -> new size


def larger_of_all(examples: Iterable[Example], most: int) -> list[Example]:
    """At most `most` larger ones: the first of every example, then the second of every one, and so on.

    Each is a program to compile on most devices; a pool of five samples has thirty. Samples that show what happens far out
    stay as they are: at 1e4 the last place of float32 is 1e-3, which a device's relaxed sums may lose, and more data loses more.
    """
    rows = [list(larger(example)) for example in examples if _largest(example) <= _FAR_OUT]
    in_turn = (made for column in zip_longest(*rows) for made in column if made is not None)
    return list(islice(in_turn, most))


def larger(example: Example) -> Iterator[Example]:
    """The example with one of its sizes long, wherever that size stands; with one axis long; and with all sizes odd.

    What the op refuses, and what would hold more than 65,536 elements in an input, is left out. Elements repeat along a
    longer axis; floating-point ones are scaled by 0.8 to 1 at random, which keeps their signs and ranges.
    """
    generator = np.random.default_rng(17)
    seen = {_shapes(example.data)}
    for alternatives in _resizings(example.data):
        for resize in alternatives:
            shapes = {name: _resized(name, array, resize) for name, array in example.data.items()}
            if any(np.prod(shape, dtype=float) > _MOST_ELEMENTS for shape in shapes.values()):
                continue
            key = tuple(shapes.items())
            if key in seen:
                break
            made = _made(example, shapes, generator)
            if made is not None:
                seen.add(key)
                yield made
                break


def _resizings(data: Mapping[str, np.ndarray]) -> Iterator[list[Resize]]:
    """Ways to change the sizes; of each list the first that can be made counts."""
    sizes = sorted({size for array in data.values() for size in array.shape})

    def everywhere(old: int, new: int) -> Resize:
        return lambda name, axis, size: new if size == old else size

    def at(where: tuple[str, int], new: int) -> Resize:
        return lambda name, axis, size: new if (name, axis) == where else size

    def odd(room: int) -> Resize:
        new = {old: _ODD[(rank + room) % len(_ODD)] for rank, old in enumerate(sizes)}
        return lambda name, axis, size: new[size]

    yield [odd(room) for room in range(len(_ODD))]
    for old in sizes:
        yield [everywhere(old, new) for new in _LONG]
    for name, array in data.items():
        for axis in range(array.ndim):
            yield [at((name, axis), new) for new in _LONG]


def _made(example: Example, shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator) -> Example | None:
    data = {}
    for name, array in example.data.items():
        shape = shapes[name]
        if shape == array.shape:
            data[name] = array
            continue
        if not array.size:
            return None
        for axis, size in enumerate(shape):
            array = array.take(np.arange(size) % array.shape[axis], axis)
        if array.dtype.kind == "f":
            array = (array * generator.uniform(0.8, 1.0, shape)).astype(array.dtype)
        data[name] = np.ascontiguousarray(array)
    try:
        made = example.with_data(data)
        made.infer()
    except Exception:  # that it is refused cleanly is another check's business
        return None
    return made


def _resized(name: str, array: np.ndarray, resize: Resize) -> tuple[int, ...]:
    return tuple(resize(name, axis, size) for axis, size in enumerate(array.shape))


def _largest(example: Example) -> float:
    arrays = [array for array in example.data.values() if array.dtype.kind == "f"]
    return max((float(np.abs(array).max(initial=0)) for array in arrays), default=0.0)


def _shapes(data: Mapping[str, np.ndarray]) -> tuple:
    return tuple((name, array.shape) for name, array in data.items())
