"""A plan whose inputs are filled, and whose outputs are read, in place."""

from __future__ import annotations

import threading
from types import MappingProxyType

import numpy as np

from flownet.devices.device import Program
from flownet.graph import Graph

__all__ = ["Buffers"]


class Buffers:
    """Fill `inputs`, call, read `outputs`: NumPy arrays by name, the same ones for every call.

    Where the device shares the host's memory they are its own, and nothing is copied; elsewhere a call copies. The next call
    overwrites the outputs.
    """

    def __init__(self, graph: Graph, program: Program, in_turn: threading.RLock) -> None:
        self.program, self._in_turn = program, in_turn
        types = {value.name: value.type for value in graph.inputs}
        types |= {name: graph.values[value].type for name, value in graph.outputs.items()}
        own = {name: program.array(name) for name in types}
        arrays = {
            name: np.zeros(tuple(map(int, types[name].shape)), types[name].dtype.numpy) if array is None else array  # type: ignore[arg-type]
            for name, array in own.items()
        }
        self.inputs = MappingProxyType({value.name: arrays[value.name] for value in graph.inputs})
        self.outputs = MappingProxyType({name: arrays[name] for name in graph.outputs})
        self._fed = [(name, array) for name, array in self.inputs.items() if own[name] is None]
        self._fetched = [(name, array) for name, array in self.outputs.items() if own[name] is None]

    def __call__(self) -> MappingProxyType[str, np.ndarray]:
        """Run on what `inputs` hold now; returns `outputs`."""
        program = self.program
        with self._in_turn:
            for name, array in self._fed:
                program.feed(name, array)
            program.run()
            program.wait()
            for name, array in self._fetched:
                np.copyto(array, program.fetch(name))
        return self.outputs
