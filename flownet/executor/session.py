"""A session: the parameters and states of a network on a device, and the plans that were made for it.

A plan is a graph bound to sizes, passed through the device's pipeline and loaded. Running it is `Program.run`, a loop
without decisions; which sizes arrive is decided here, once a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np

from flownet.collector import paused_collector
from flownet.devices.device import Device, Program, Storage
from flownet.errors import FlownetError, near_names
from flownet.executor.buffers import Buffers
from flownet.executor.memory_errors import naming_the_value, placed_at_the_largest
from flownet.graph import Graph, Kind, Value
from flownet.passes.pipeline import Pass, run_passes
from flownet.types import Dim, Symbolic, TensorType

__all__ = ["Plan", "Session", "as_input", "sizes_of"]


@dataclass
class Plan:
    """A loaded graph: `graph` is what the passes left of it."""

    graph: Graph
    program: Program

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Feed, run, and fetch every output."""
        for name, array in inputs.items():
            self.program.feed(name, array)
        self.program.run()
        return {name: self.program.fetch(name) for name in self.graph.outputs}


class Session:
    """Runs graphs that share parameters and states by name."""

    def __init__(
        self, device: Device, *, seed: int = 0, without: Iterable[str] = (), check: bool = False,
        passes: Sequence[Pass] | None = None,
    ) -> None:  # fmt: skip
        self.device, self.seed = device, seed
        self.passes = device.passes if passes is None else passes
        self.without, self.check = tuple(without), check
        self.storages: dict[str, Storage] = {}
        self.trainable: set[str] = set()
        self._plans: dict[tuple, Plan] = {}
        self.in_turn = (
            RLock()
        )  # runs of a plan share its buffers, and all plans the parameters: whoever runs one holds it

    # -- parameters and states ---------------------------------------------------------------------------------------------

    def initialise(self, graph: Graph) -> None:
        """Give every parameter and state of `graph` that has no storage yet its starting value."""
        for value in (*graph.parameters, *graph.states):
            if value.name in self.storages:
                continue
            with naming_the_value(value):
                storage = self.device.storage(value.type)
                storage.write(starting_array(value, self.seed))
            self.storages[value.name] = storage
            if value.kind is Kind.PARAMETER:
                self.trainable.add(value.name)

    def read(self) -> dict[str, np.ndarray]:
        """All parameters and states, copied to the host."""
        with self.in_turn:
            return {name: storage.read() for name, storage in self.storages.items()}

    def write(self, arrays: Mapping[str, np.ndarray], whole: Iterable[str] = ()) -> None:
        """Set parameters and states; others keep their values.

        whole: names that must all be among `arrays`

        Raises FlownetError (`weights-mismatch`) with all that is missing, surplus, or of another shape, changing nothing.
        """
        held = self.storages
        missing = [name for name in whole if name not in arrays]
        surplus = [name for name in arrays if name not in held]
        others = [name for name in arrays if name in held and tuple(arrays[name].shape) != tuple(held[name].type.shape)]
        problems = [
            *_listed(missing, lambda name: f"`{name}` is in the graph, not in the weights"),
            *_listed(surplus, lambda name: f"`{name}` is in the weights, not in the graph{_near(name, () if missing else held)}"),
            *_listed(others, lambda name: f"`{name}` is {list(arrays[name].shape)} in the weights, {held[name].type} in the graph"),
        ]  # fmt: skip
        if problems:
            raise FlownetError.of(
                "weights-mismatch", "the weights are those of another graph", *problems,
                help="use the graph file that the weights were trained with",
            )  # fmt: skip
        with self.in_turn:
            for name, array in arrays.items():
                self.storages[name].write(np.asarray(array, self.storages[name].type.dtype.numpy))

    # -- plans -------------------------------------------------------------------------------------------------------------

    def plan(self, graph: Graph, sizes: Mapping[str, int] | None = None) -> Plan:
        """The plan of `graph` for these sizes of its symbols; made once, and kept."""
        key = (id(graph), tuple(sorted((sizes or {}).items())))
        with self.in_turn:
            if key not in self._plans:
                self._plans[key] = self._made(graph, sizes or {})
            return self._plans[key]

    @paused_collector()
    def _made(self, graph: Graph, sizes: Mapping[str, int]) -> Plan:
        self.initialise(graph)
        bound = graph.bind(sizes)
        if missing := sorted(bound.symbols()):
            raise FlownetError.of(
                "open-size", f"the size `{missing[0]}` is not known", help="feed an input that has it, or name it"
            )
        passes, decisions = self.passes, self.device.decisions
        bound = run_passes(
            bound, self.device.target, passes, without=self.without, check=self.check, elsewhere=decisions
        )
        used = {v.name: self.storages[v.name] for v in (*bound.parameters, *bound.states)}
        off = frozenset(self.without).intersection(decisions)
        with placed_at_the_largest(bound):
            plan = Plan(bound, self.device.load(bound, used, off) if off else self.device.load(bound, used))
        plan.source = graph  # type: ignore[attr-defined]  # keeps `id(graph)` from being given to another
        return plan

    def buffers(self, graph: Graph, sizes: Mapping[str, int] | None = None) -> Buffers:
        """A plan of its own of `graph` for these sizes, whose inputs and outputs are used in place."""
        plan = self._made(graph, sizes or {})
        return Buffers(plan.graph, plan.program, self.in_turn)

    def run(self, graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run `graph` on arrays; their shapes say the sizes of its symbols. Threads that call it at once take turns."""
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        with self.in_turn:
            return self.plan(graph, sizes_of(graph, arrays))(arrays)


def _listed(names: Sequence[str], told: Callable[[str], str]) -> list[str]:
    """What is to be told of the first names: those of a deep network would fill screens."""
    more = [f"… and of {len(names) - _MOST} more the same is true"] if len(names) > _MOST else []
    return [*map(told, names[:_MOST]), *more]


def _near(name: str, known: Iterable[str]) -> str:
    near = near_names(name, known)
    return f"; {near}" if near else ""


_MOST = 10


def starting_array(value: Value, seed: int) -> np.ndarray:
    """The starting value of a parameter or state: by its initialiser, or as given."""
    if value.name == "rng" and value.kind is Kind.STATE:  # the random ops' key and counter: (seed, step)
        return np.array([seed & 0xFFFFFFFF, 0], value.type.dtype.numpy)
    if hasattr(value.initial, "array"):
        return value.initial.array(seed, value.name)
    return np.broadcast_to(np.asarray(value.initial, value.type.dtype.numpy), tuple(value.type.shape)).copy()  # type: ignore[arg-type]


def as_input(name: str, values: Any, type_: TensorType | None) -> np.ndarray:
    """The values as the input's element type. Raises FlownetError (`input-mismatch`) where that would change what they mean."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of several lengths
        raise FlownetError.of("input-mismatch", f"the values given for `{name}` are no array: {error}") from None
    if type_ is None:
        return array
    wanted = type_.dtype.numpy
    if array.dtype.kind not in "biuf":
        raise FlownetError.of("input-mismatch", f"`{name}` is {type_}, got an array of {array.dtype}")
    if array.dtype == wanted:
        return array
    with np.errstate(invalid="ignore"):  # nan as a whole number: refused in the next line
        cast = array.astype(wanted)
    if wanted.kind != "f" and not np.array_equal(cast, array):
        raise FlownetError.of("input-mismatch", f"`{name}` is {type_}, and the values given are no {type_.dtype}")
    return cast


def sizes_of(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """What the arrays say that the symbols are. Raises FlownetError where they disagree with the inputs' types."""
    known = {value.name: value.type for value in graph.inputs}
    for name in arrays:
        if name not in known:
            raise FlownetError.of(
                "unknown-input",
                f"the graph has no input `{name}`",
                help=near_names(name, known) or f"its inputs are {', '.join(known)}",
            )
    if missing := [name for name in known if name not in arrays]:
        raise FlownetError.of(
            "missing-input", f"the graph's input `{missing[0]}` is not fed", help=f"it is {known[missing[0]]}"
        )
    sizes: dict[str, int] = {}
    told_by: dict[str, str] = {}
    for name, array in arrays.items():
        type_ = known[name]
        if array.ndim != type_.rank:
            raise _mismatch(name, type_, array, f"it has {array.ndim} axes, not {type_.rank}")
        for dim, size in zip(type_.shape, array.shape, strict=True):
            symbol = _single_symbol(dim)
            if symbol and sizes.setdefault(symbol, size) != size:
                raise FlownetError.of(
                    "size-conflict", f"`{symbol}` would be both {sizes[symbol]} and {size}",
                    f"`{told_by[symbol]}` says {sizes[symbol]}, `{name}` says {size}", help="a symbol means one size everywhere",
                )  # fmt: skip
            if symbol:
                told_by.setdefault(symbol, name)
    for name, array in arrays.items():
        wanted = known[name].bind(sizes).shape
        if any(isinstance(dim, int) and dim != size for dim, size in zip(wanted, array.shape, strict=True)):
            raise _mismatch(name, known[name], array, f"with the sizes known it is [{', '.join(map(str, wanted))}]")
    return sizes


def _single_symbol(dim: Dim) -> str | None:
    if isinstance(dim, Symbolic) and len(dim.terms) == 1 and dim.terms[0][1] == 1 and len(dim.terms[0][0]) == 1:
        part = dim.terms[0][0][0]
        return part if isinstance(part, str) else None
    return None


def _mismatch(name: str, type_: TensorType, array: np.ndarray, why: str) -> FlownetError:
    return FlownetError.of("input-mismatch", f"`{name}` is {type_}, got {array.dtype}{list(array.shape)}", why)
