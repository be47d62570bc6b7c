"""What a device must offer: storage that outlives a run, and programs made of ordered graphs with planned memory.

The executor sees devices through these three classes alone; a plugin brings another device by the hook
`flownet_devices`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from flownet.graph import Graph
from flownet.passes.pipeline import PIPELINE, Pass
from flownet.types import TensorType

__all__ = ["Device", "Program", "Step", "Storage"]


class Storage(ABC):
    """One array in the device's memory: a parameter, a state, an input."""

    type: TensorType

    @abstractmethod
    def read(self) -> np.ndarray:
        """A copy of the contents."""

    @abstractmethod
    def write(self, array: np.ndarray) -> None:
        """Replace the contents; shape and element type are the storage's."""


@dataclass
class Step:
    """One entry of a program's flat list: what `flownet plan` shows of it, and how to run it.

    nodes:  the graph's nodes that it computes
    kernel: the function or kernel that runs, for people
    """

    run: Callable[[], Any]
    nodes: tuple[str, ...]
    kernel: str
    device: str
    flops: int = 0
    bytes: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


class Program(ABC):
    """A graph made ready to run: feed inputs, run, fetch outputs. States and parameters change in their storage.

    feeds_while_running: whether inputs may be fed for the next run before the outputs of the last one are fetched, and a run
                         that goes on is not waited for
    """

    steps: Sequence[Step]
    peak_bytes: int
    feeds_while_running: bool = False

    @abstractmethod
    def feed(self, name: str, array: np.ndarray) -> None:
        """Set an input. The array may be changed by the caller as soon as `run` returned."""

    @abstractmethod
    def run(self) -> None:
        """Compute all outputs and updates once. On an asynchronous device it may return before they are there."""

    @abstractmethod
    def fetch(self, name: str) -> np.ndarray:
        """A copy of an output as of the last run."""

    def array(self, name: str) -> np.ndarray | None:
        """The program's own array of an input, which may be filled in place instead of fed, or of an output, where it lies after
        `wait`; None where only copies can be had."""
        return None

    @abstractmethod
    def wait(self) -> None:
        """Return when the outputs of the last run are there. `fetch` does this, too."""

    @abstractmethod
    def run_checked(self) -> str | None:
        """Run step by step until a value is not finite: the name of the node that made it, or None."""


class Device(ABC):
    """A place where graphs run.

    name:   what `--device` takes
    target: facts that passes may look at (never the device itself)
    passes: the pipeline for this device
    decisions: what `load` decides beside the passes; `--no-pass` switches each off, and `load` then gets those names as `without`
    """

    name: ClassVar[str]
    target: Any = None
    passes: Sequence[Pass] = PIPELINE
    decisions: ClassVar[Sequence[str]] = ()

    @property
    @abstractmethod
    def description(self) -> str:
        """The device in words, for people."""

    @abstractmethod
    def storage(self, type: TensorType) -> Storage:
        """Memory for one array that outlives programs; its contents are undefined until written."""

    @abstractmethod
    def load(self, graph: Graph, storages: Mapping[str, Storage], without: Collection[str] = ()) -> Program:
        """Make a graph ready: all sizes are numbers, and the device's passes have run.

        storages: the parameters' and states' storage by value name
        without:  those of `decisions` that are switched off; given only where there are any
        """
