"""Random numbers that depend on nothing but what they are for.

Each is a function of (seed, epoch, purpose, position), by the counter-based generator Philox4x64-10 (Salmon, Moraes,
Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), as NumPy implements it. So an epoch that is resumed in
its middle goes on bit by bit, whatever the number of threads and the size of the batches. Only raw 64-bit words are
taken from NumPy: they are fixed by the paper, whereas NumPy may change how its distributions use them.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Draws", "permutation"]

_ORDER, _HOLD_OUT, _AUGMENT = 0, 1, 2
_WORDS = 4  # that one value of Philox4x64's counter gives
_MASK = (1 << 64) - 1


def _words(seed: int, epoch: int, counter: tuple[int, int, int, int], count: int) -> np.ndarray:
    key = np.array([seed & _MASK, epoch & _MASK], np.uint64)
    return np.asarray(np.random.Philox(key=key, counter=np.array(counter, np.uint64)).random_raw(count))


def permutation(length: int, seed: int, epoch: int = 0, *, hold_out: bool = False) -> np.ndarray:
    """An order of 0 … length-1 as int64: the ranks of `length` random words.

    `hold_out` gives the order that a validation split is taken from, which must not be the first epoch's.
    """
    words = _words(seed, epoch, (0, 0, 0, _HOLD_OUT if hold_out else _ORDER), length)
    return words.argsort(kind="stable").astype(np.int64, copy=False)


class Draws:
    """The random numbers of one augmentation for a batch: row `i` belongs to position `first + i` of the epoch's order.

    Every call gives fresh numbers, and the same sequence of calls gives the same ones.
    """

    def __init__(self, seed: int, epoch: int, first: int, count: int, stream: int = 0) -> None:
        self.count = count
        self._seed, self._epoch, self._first, self._stream = seed, epoch, first, stream
        self._calls = 0

    def words(self, number: int = 1) -> np.ndarray:
        """uint64[batch, number]."""
        blocks = -(-number // _WORDS)
        counter = (self._first * blocks, self._calls, self._stream, _AUGMENT)
        self._calls += 1
        words = _words(self._seed, self._epoch, counter, self.count * blocks * _WORDS)
        return words.reshape(self.count, -1)[:, :number]

    def uniform(self, number: int = 1) -> np.ndarray:
        """float64[batch, number] in [0, 1): the upper 53 bits."""
        return (self.words(number) >> np.uint64(11)) * 2.0**-53

    def integers(self, low: int, high: int, number: int = 1) -> np.ndarray:
        """int64[batch, number] from `low` to `high`, both included."""
        return low + np.floor(self.uniform(number) * (high - low + 1)).astype(np.int64)
