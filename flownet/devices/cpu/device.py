"""The CPU device: NumPy, the meaning of every op. A program is a flat list of functions without arguments.

Everything is decided when the program is loaded: which array each step reads and writes is bound into its function. What depends on
parameters alone, such as folded weights, is computed when one of them was written, and not in every run.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from flownet.devices.cpu.elementwise import Scratch, compile_elementwise
from flownet.devices.device import Device, Program, Step, Storage
from flownet.devices.lack_of_memory import largest_values, megabytes, out_of_memory
from flownet.errors import FlownetError
from flownet.graph import Graph, Kind, Node
from flownet.op import Op
from flownet.op.contract import wanted
from flownet.op.failure import check_shape, failure_of
from flownet.passes.order_nodes import order_nodes
from flownet.passes.plan_memory import MemoryPlan, plan_memory
from flownet.passes.unchanging import set_up_first, unchanging
from flownet.types import TensorType

__all__ = ["CPU", "CPUProgram", "CPUStorage", "HostTarget", "Writes"]


@dataclass(frozen=True)
class HostTarget:
    """What passes may know of the CPU device."""

    family: str = "numpy"


class Writes:
    """How often parameters and states of a device were changed: by a write from outside, or by a run that updates them."""

    def __init__(self) -> None:
        self.count = 0


class CPUStorage(Storage):
    """A NumPy array."""

    def __init__(self, type: TensorType, writes: Writes) -> None:
        self.type, self.writes = type, writes
        self.array = np.zeros(_shape(type), type.dtype.numpy)

    def read(self) -> np.ndarray:
        return self.array.copy()

    def write(self, array: np.ndarray) -> None:
        self.array[...] = array
        self.writes.count += 1


class CPU(Device):
    """NumPy on the processor."""

    name = "cpu"
    target = HostTarget()
    decisions = ("set_up_first", "update_in_place", "plan_memory")

    @cached_property
    def writes(self) -> Writes:
        return Writes()

    @property
    def description(self) -> str:
        return f"NumPy {np.__version__} on {platform.processor() or platform.machine()}"

    def storage(self, type: TensorType) -> CPUStorage:
        return CPUStorage(type, self.writes)

    def load(self, graph: Graph, storages: Mapping[str, Storage], without: Collection[str] = ()) -> CPUProgram:
        arrays = {name: storage.array for name, storage in storages.items()}  # type: ignore[attr-defined]
        return CPUProgram(graph, arrays, self.writes, without)


class CPUProgram(Program):
    """A graph as bound NumPy calls over one arena."""

    def __init__(
        self, graph: Graph, stored: Mapping[str, np.ndarray], writes: Writes, without: Collection[str] = ()
    ) -> None:
        self.graph, self.writes = graph, writes
        still = () if "set_up_first" in without else unchanging(graph)
        setup, run, kept = set_up_first(graph, order_nodes(graph), still)
        self.order = [*setup, *run]
        in_place = {} if "update_in_place" in without else _updates_in_place(graph, self.order)
        if "plan_memory" in without:
            kept = {value.name for value in graph.values.values() if value.producer}
        self.memory: MemoryPlan = plan_memory(graph, self.order, external=in_place, kept=kept)
        try:
            self._arena = np.zeros(self.memory.arena_bytes + 64, np.uint8)
        except MemoryError:
            needed = f"there is no memory for the results of `{graph.name}`: {megabytes(self.memory.arena_bytes)}"
            raise out_of_memory(needed, *largest_values(graph, self.memory.lifetimes.values())) from None
        self._start = -self._arena.ctypes.data % 64
        self._arrays: dict[str, np.ndarray] = {}
        self._inputs = {}
        for value in graph.values.values():
            if value.kind is Kind.INPUT:
                self._inputs[value.name] = np.zeros(_shape(value.type), value.type.dtype.numpy)
                self._arrays[value.name] = self._inputs[value.name]
            elif value.kind is Kind.CONSTANT:
                self._arrays[value.name] = np.array(value.initial, value.type.dtype.numpy).reshape(_shape(value.type))
            elif value.kind is not Kind.RESULT:
                self._arrays[value.name] = stored[value.name]
        for result, state in in_place.items():
            self._arrays[result] = stored[state]
        scratch = Scratch()
        before = [step for node in setup if (step := self._step(node, scratch, setup=True))]
        steps = [step for node in run if (step := self._step(node, scratch))]
        steps += [
            Step(partial(np.copyto, stored[state], self._array(value)), _maker(graph, value), f"store {state}", "cpu")
            for state, value in graph.updates.items()
            if value not in in_place
        ]
        self.steps = [*before, *steps]
        self._setup, self._runs = ([step.run for step in part] for part in (before, steps))
        self._version = -1  # of `writes`, as of the last set-up
        inputs = sum(array.nbytes for array in self._inputs.values())
        self.peak_bytes = self.memory.arena_bytes + scratch.nbytes + inputs + sum(a.nbytes for a in stored.values())

    def feed(self, name: str, array: np.ndarray) -> None:
        np.copyto(self._inputs[name], array)

    def run(self) -> None:
        with np.errstate(all="ignore"):  # what is not finite is found in the loss, not by warnings
            if self._version != self.writes.count:
                self._perform(self._setup)
            self._count_updates()
            self._perform(self._runs)

    def _perform(self, runs: Sequence[Callable[[], Any]]) -> None:
        """Call the functions of steps; what fails names the place in the graph file."""
        steps = iter(runs)
        try:
            for step in steps:
                step()
        except Exception as error:
            at = len(runs) - steps.__length_hint__() - 1  # type: ignore[attr-defined]
            nodes = [self.graph.nodes[name] for step in self.steps if step.run is runs[at] for name in step.nodes]
            failure = failure_of(nodes[0].op, error) if nodes else error
            if not isinstance(failure, FlownetError):
                raise
            raise failure.placed([span for node in nodes for span in node.origin.spans]) from error

    def _count_updates(self) -> None:
        """Tell other programs when this one is about to change parameters; what is set up for itself depends on none of those."""
        if self.graph.updates:
            self.writes.count += 1
        self._version = self.writes.count

    def fetch(self, name: str) -> np.ndarray:
        return self._array(self.graph.outputs[name]).copy()

    def wait(self) -> None:
        """A run is over when it returns."""

    def array(self, name: str) -> np.ndarray:
        return self._array(self.graph.outputs[name]) if name in self.graph.outputs else self._inputs[name]

    def run_checked(self) -> str | None:
        self._count_updates()
        with np.errstate(all="ignore"):
            for step in self.steps:
                step.run()
                for node in step.nodes:
                    for name in self.graph.nodes[node].outputs:
                        array = self._array(name)
                        if array.dtype.kind == "f" and not np.isfinite(array).all():
                            return node
        return None

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            value = self.graph.values[name]
            buffer = self.memory.buffer_of[name]
            if buffer in self._arrays:  # a view of something that has its own memory
                self._arrays[name] = self._arrays[buffer].reshape(_shape(value.type))
            else:
                start = self._start + self.memory.offsets[buffer]
                flat = self._arena[start : start + int(value.type.nbytes)]  # type: ignore[arg-type]
                self._arrays[name] = flat.view(value.type.dtype.numpy).reshape(_shape(value.type))
        return self._arrays[name]

    def _step(self, node: Node, scratch: Scratch, setup: bool = False) -> Step | None:
        inputs = {argument: self._array(name) for argument, name in node.inputs.items()}
        outputs = {name: self._array(value) for name, value in zip(node.op.outputs, node.outputs, strict=True)}
        if node.op.is_view and len(outputs) == 1 and node.outputs[0] not in self.memory.offsets:
            return None
        if hasattr(node.op, "expressions"):
            run = compile_elementwise(node.op.expressions(), inputs, outputs, scratch)
        else:
            run = _call(node.op, inputs, list(outputs.values()))
        types = {argument: self.graph.values[name].type for argument, name in node.inputs.items()}
        flops, _ = node.op.cost(types, [self.graph.values[name].type for name in node.outputs])
        nbytes = sum(array.nbytes for array in (*inputs.values(), *outputs.values()))
        return Step(run, (node.name,), node.op.name, "cpu", int(flops), nbytes, {"setup": setup})  # type: ignore[arg-type]


def _maker(graph: Graph, value: str) -> tuple[str, ...]:
    """The node that makes a value, if one does."""
    producer = graph.values[value].producer
    return () if producer is None else (producer,)


def _shape(type: TensorType) -> tuple[int, ...]:
    return tuple(int(dim) for dim in type.shape)  # type: ignore[arg-type]


def _call(op: Op, inputs: Mapping[str, np.ndarray], outputs: list[np.ndarray]) -> Callable[[], Any]:
    """`op.forward` with its arguments bound; one that cannot write into given arrays is followed by a copy."""
    if op.takes_out:
        out = outputs[0] if len(outputs) == 1 else tuple(outputs)
        return partial(op.forward, *wanted(op.forward, inputs), out=out)
    made, copyto = op.bound(inputs), np.copyto
    if len(outputs) == 1:
        (only,) = outputs
        shape = only.shape

        def run() -> None:
            result = made()
            if isinstance(result, (tuple, list)):
                result = result[0]
            if getattr(result, "shape", None) != shape:
                check_shape(op, result, shape)
            copyto(only, result)

    else:

        def run() -> None:
            for out, result in zip(outputs, made(), strict=True):
                check_shape(op, result, out.shape)
                copyto(out, result)

    return run


def _updates_in_place(graph: Graph, order: list[Node]) -> dict[str, str]:
    """Result -> the state or parameter whose memory it may be written into at once.

    That is so when the node that makes it is elementwise (it reads each element before it writes it) and runs behind
    all who read the old value, and when nobody fetches the result under another name.
    """
    position = {node.name: index for index, node in enumerate(order)}
    last_read: dict[str, int] = {}
    for node in order:
        for name in node.inputs.values():
            last_read[name] = max(last_read.get(name, -1), position[node.name])
    views = {name for node in order if node.op.is_view for name in node.inputs.values()}
    found = {}
    for state, result in graph.updates.items():
        producer = graph.values[result].producer
        if producer is None or result in graph.outputs.values() or state in graph.outputs.values() or state in views:
            continue
        if hasattr(graph.nodes[producer].op, "expressions") and last_read.get(state, -1) <= position[producer]:
            found[result] = state
    return found
