"""The launches of an interpreted program, whoever its workers are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from flownet.devices.opencl.interpreter import Interpreter, Place, counters
from flownet.devices.opencl.memory import Region
from flownet.devices.opencl.schedule import Stage

__all__ = ["Launches"]


class Launches(ABC):
    """The program of these stages, built.

    sets:    the regions that places are counted in, once for each set of inputs
    workers: how many threads share the work of a launch
    what:    what it is, to whom it does not compile
    built:   a program of the same functions, which other stages have been built to

    Raises FlownetError (`kernel-build`).
    """

    space: ClassVar[str]  # of the array of the regions' addresses

    def __init__(
        self, runtime: Any, stages: Sequence[Stage], places: Mapping[str, Place], sets: Sequence[Sequence[Region]],
        workers: int, what: str, built: Self | None = None,
    ) -> None:  # fmt: skip
        self.runtime, self.places, self.sets, self.workers, self.what = runtime, places, sets, workers, what
        self.built = built
        table = Interpreter.of(stages, places, self.space, workers)
        self.source = table.source + self.run_kernel()
        if built is None:
            self.program = runtime.build(self.source, what, parts=table.parts, crew=self.devices())
        else:
            assert built.source == self.source, "another order of launches gave another program"
            self.program = built.program
        self.stages = len(stages)
        self.tables = (table.stages, table.entries, table.pointers, counters(self.stages, workers))

    @abstractmethod
    def run_kernel(self) -> str:
        """C of the kernel `run`, which stands behind the interpreter's functions."""

    def devices(self) -> Sequence[Any]:
        """Those of the crew that it is built for; none where it is for the runtime's own."""
        return ()

    @abstractmethod
    def launcher(self, first: int, last: int, current: int) -> Callable[[], Any]:
        """A function that runs stages `first` up to `last` on a set of inputs, arguments set once.

        What it returns is to be waited for, and None where it is done.
        """

    def over(self, stages: Sequence[Stage]) -> Self:
        """The same launches in other stages."""
        return type(self)(self.runtime, stages, self.places, self.sets, self.workers, self.what, self)
