"""Offsets for tensors that live from one step to another: no two that live at the same time may share a byte.

Two ways, because neither is best alone.

*In lanes*, in time linear in the number of tensors but for sorting: the tensors go by size, the largest first, and those of
one size by their first step. A lane is a strip of the arena, free from one step to another; a tensor takes the lowest lane
that holds it, of these the one that is needed soonest, and leaves what is before it, behind it and above it as lanes. For
tensors of one size this is the colouring of an interval graph, and optimal; deep networks consist of few sizes.

*By gaps* (Pisarchyk, Lee 2020, "greedy by size for offset calculation"): the largest tensor first, each in the smallest gap
among those that live with it, which may span what were several lanes. It looks at all tensors for each one. No order is the
best everywhere: of one size those first that begin first; or those that end last (plans of networks that narrow and widen again
were up to 6% larger otherwise); or before all sizes those that live at the fullest steps.

No plan can be smaller than the most that is alive at one step. So lanes are tried first, and gaps where lanes miss that bound,
in one order after the other until it is met.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

__all__ = ["Lifetime", "most_alive", "place", "place_by_gaps", "place_in_lanes"]

_MOST_TENSORS = 5000  # with more of them, one order is all that a plan may take: a second each at 15,000
_MOST_SIZES = 200  # with more sizes than that, lanes would be looked through too often


@dataclass(frozen=True)
class Lifetime:
    """A tensor that needs `nbytes` from step `first` to step `last`, both included."""

    name: str
    nbytes: int
    first: int
    last: int


def place(lives: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets by name, and the size of the arena."""
    bound = most_alive(lives)
    plans = []
    if len({life.nbytes for life in lives}) <= _MOST_SIZES:
        plans.append(place_in_lanes(lives))
    for order in _orders(lives):
        if plans and plans[-1][1] == bound:
            break
        plans.append(place_by_gaps(sorted(lives, key=order)))
    return min(plans, key=lambda plan: plan[1])


def _orders(lives: Sequence[Lifetime]) -> Iterator[Callable[[Lifetime], tuple[int, ...]]]:
    """The orders in which gaps are filled, as keys to sort by: see above."""
    yield lambda life: (-life.nbytes, life.first)
    if len(lives) > _MOST_TENSORS:
        return
    yield lambda life: (-life.nbytes, -life.last)
    alive = _alive(lives)
    yield lambda life: (-int(alive[life.first : life.last + 1].max()), -life.nbytes, life.first)


def most_alive(lives: Sequence[Lifetime]) -> int:
    """The most bytes that are alive at one step."""
    return int(_alive(lives).max(initial=0))


def _alive(lives: Sequence[Lifetime]) -> np.ndarray:
    """int64[steps + 1]: the bytes that are alive at each step."""
    change = np.zeros(max((life.last for life in lives), default=0) + 2, np.int64)
    for life in lives:
        change[life.first] += life.nbytes
        change[life.last + 1] -= life.nbytes
    return np.cumsum(change)


def place_in_lanes(lives: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets by name, and the size of the arena; see above."""
    end = max((life.last for life in lives), default=0)
    offsets: dict[str, int] = {}
    top = 0
    free: list[tuple[int, int, int, int]] = []  # first step, last step, offset, height
    by_size = sorted(lives, key=lambda life: (-life.nbytes, life.first))
    for size, same in groupby(by_size, key=lambda life: life.nbytes):
        waiting = [lane for lane in free if lane[3] >= size]
        free = [lane for lane in free if lane[3] < size]
        heapq.heapify(waiting)
        usable: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # height -> last step, offset, first step
        for life in same:
            while waiting and waiting[0][0] <= life.first:
                first, last, offset, height = heapq.heappop(waiting)
                insort(usable[height], (last, offset, first))
            for height in sorted(usable):
                at = bisect_left(usable[height], (life.last,))
                if at < len(usable[height]):
                    last, offset, first = usable[height].pop(at)
                    break
            else:
                first, last, offset, height = 0, end, top, size
                top += size
            offsets[life.name] = offset
            if first < life.first:  # it is over before the next tensor of this size begins
                free.append((first, life.first - 1, offset, size))
            if life.last < last:
                heapq.heappush(waiting, (life.last + 1, last, offset, size))
            if height >= 2 * size:
                heapq.heappush(waiting, (first, last, offset + size, height - size))
            elif height > size:
                free.append((first, last, offset + size, height - size))
        free += waiting
        free += [(first, last, offset, height) for height, lanes in usable.items() for last, offset, first in lanes]
    return offsets, top


def place_by_gaps(lives: Sequence[Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets by name, and the size of the arena; see above. The tensors go in the order in which they are given.

    What is placed is kept sorted by offset in arrays, so that finding the smallest gap that fits is a few array
    operations: 15,000 tensors take about a second.
    """
    count = len(lives)
    placed = np.zeros((4, count), np.int64)  # first step, last step, offset, end; a column a tensor, by offset
    offsets: dict[str, int] = {}
    for n, life in enumerate(lives):
        first, last, offset, end = placed[:, :n]
        rivals = np.flatnonzero((first <= life.last) & (last >= life.first))
        ends = np.maximum.accumulate(end[rivals])
        gap_starts = np.concatenate([[0], ends])
        gaps = offset[rivals] - gap_starts[:-1]
        fitting = np.flatnonzero(gaps >= life.nbytes)
        gap = fitting[np.argmin(gaps[fitting])] if len(fitting) else -1
        where = int(gap_starts[gap])
        at = int(np.searchsorted(offset, where))
        placed[:, at + 1 : n + 1] = placed[:, at:n]
        placed[:, at] = life.first, life.last, where, where + life.nbytes
        offsets[life.name] = where
    return offsets, int(placed[3].max(initial=0))
