"""When launches run, and where their buffers lie.

Launches that do not depend on each other share a *stage*: its work-groups run in any order, and only between stages does everybody wait. A
launch may move up by a few stages, no more, so that what it makes does not occupy memory long before it is wanted.

Where a stage is a single work-group, and the next one too (a softmax of a small batch), they are one stage, whose launches one worker runs in
turn: nobody else would have had anything to do.

A stage's buffers live at once; a buffer is free behind the last stage that reads it. What depends on parameters and constants alone, in a
graph that does not change them (reordered filters in inference), is computed apart, in stages that run only when parameters were written. There
a launch is a stage, and what is made for one layer stands together: of the folded weights of a deep network, which are reordered
at once, only one lies in memory at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flownet.devices.opencl.emit import Launch
from flownet.devices.opencl.kernels.kernel import product
from flownet.passes.placement import Lifetime, place
from flownet.passes.plan_memory import ALIGNMENT

__all__ = ["Schedule", "Stage", "schedule"]

_LOOK_BACK = 4  # stages that a launch may move up


@dataclass
class Stage:
    """Launches that may run at the same time, or, `in_turn`, one after another; a host's launch has a stage of its own."""

    launches: list[Launch] = field(default_factory=list)
    in_turn: bool = False

    @property
    def on_host(self) -> bool:
        return self.launches[0].kernel is None

    @property
    def is_single(self) -> bool:
        """Whether all of it is one work-group, or several in turn."""
        return not self.on_host and (self.in_turn or [product(launch.kernel.grid) for launch in self.launches] == [1])  # type: ignore[union-attr]


@dataclass
class Schedule:
    """The stages of a run, those of the set-up before it, and the arena's offsets in bytes by buffer.

    Lifetimes count the stages of the set-up first; what a run reads of it lives to the end.
    """

    setup: list[Stage]
    stages: list[Stage]
    offsets: Mapping[str, int]
    lifetimes: Mapping[str, Lifetime]
    arena_bytes: int


def schedule(
    launches: Sequence[Launch],
    sizes: Mapping[str, int],
    fixed: frozenset[str],
    changing: frozenset[str],
    kept: frozenset[str],
) -> Schedule:
    """The schedule of launches, which come in an order that is right.

    sizes:    bytes of every buffer that is to be placed
    fixed:    buffers that hold parameters, states or constants
    changing: those of them that the graph writes
    kept:     buffers that must be there when the run is over
    """
    still = set(fixed - changing)
    setup, run = [], []
    for launch in launches:
        hoisted = launch.kernel is not None and bool(launch.reads) and all(name in still for name in launch.reads)
        if hoisted and not any(name in fixed for name in launch.writes):
            still.update(launch.writes)
            setup.append(launch)
        else:
            run.append(launch)
    setup_stages, stages = [Stage([launch]) for launch in _by_need(setup, run)], _chained(_stages(run))
    begin, end = len(setup_stages), max(len(setup_stages) + len(stages) - 1, 0)
    first: dict[str, int] = {}
    last: dict[str, int] = dict.fromkeys(kept, end)
    for index, stage in enumerate([*setup_stages, *stages]):
        for launch in stage.launches:
            for name in (*launch.reads, *launch.writes):
                made = first.setdefault(name, index)
                last[name] = max(last.get(name, 0), end if made < begin <= index else index)
    lives = {
        name: Lifetime(name, _aligned(sizes[name]), first.get(name, begin), at)
        for name, at in last.items()
        if name in sizes
    }
    offsets, arena = place(list(lives.values()))
    return Schedule(setup_stages, stages, offsets, lives, arena)


def _by_need(setup: Sequence[Launch], run: Sequence[Launch]) -> list[Launch]:
    """The launches of the set-up in the order in which a run wants what they lead to."""
    first: dict[str, int] = {}  # buffer -> the first launch of a run that needs it
    for index, launch in enumerate(run):
        for name in launch.reads:
            first.setdefault(name, index)
    needed: dict[int, int] = {}
    for launch in reversed(setup):
        index = needed[id(launch)] = min(first.get(name, len(run)) for name in launch.writes)
        for name in launch.reads:
            first[name] = min(first.get(name, index), index)
    return sorted(setup, key=lambda launch: needed[id(launch)])  # stable: what comes first stays before what reads it


def _aligned(nbytes: int) -> int:
    # a cache line more than needed: vectors may be read past the end of the last row
    return -(-max(nbytes, 4) // ALIGNMENT) * ALIGNMENT


def _stages(launches: Sequence[Launch]) -> list[Stage]:
    stages: list[Stage] = []
    written: dict[str, int] = {}
    read: dict[str, int] = {}
    barrier = 0
    for launch in launches:
        earliest = barrier
        for name in launch.reads:
            earliest = max(earliest, written.get(name, -1) + 1)
        for name in launch.writes:
            earliest = max(earliest, written.get(name, -1) + 1, read.get(name, -1) + 1)
        if launch.kernel is None:
            earliest = len(stages)
            barrier = earliest + 1
        else:
            earliest = max(earliest, len(stages) - _LOOK_BACK)
        if earliest >= len(stages):
            earliest = len(stages)
            stages.append(Stage())
        stages[earliest].launches.append(launch)
        for name in launch.reads:
            read[name] = max(read.get(name, -1), earliest)
        for name in launch.writes:
            written[name] = earliest
    return stages


def _chained(stages: Sequence[Stage]) -> list[Stage]:
    """Single work-groups that follow each other, as one stage."""
    out: list[Stage] = []
    for stage in stages:
        if out and out[-1].is_single and stage.is_single:
            out[-1] = Stage(out[-1].launches + stage.launches, in_turn=True)
        else:
            out.append(stage)
    return out
