"""A graph made ready for an OpenCL device: launches, memory, and the loop that runs them.

On a CPU all launches between two nodes of the host are one launch of the interpreter: of a small program in the calling
thread and those that stand by it, of others on the device's own threads. On a GPU each is a launch of its own, since workers
that wait for each other would starve there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.device import Program, Step
from flownet.devices.lack_of_memory import largest_values
from flownet.devices.opencl.calling_thread import CallingThread
from flownet.devices.opencl.device_threads import DeviceThreads
from flownet.devices.opencl.emit import Emitter, Launch
from flownet.devices.opencl.interpreter import Place
from flownet.devices.opencl.memory import ALIGNMENT, OpenCLStorage, Region
from flownet.devices.opencl.schedule import Schedule, Stage, schedule
from flownet.errors import FlownetError
from flownet.graph import Graph, Kind, Node
from flownet.kernels import Fused, InRange
from flownet.op.failure import check_shape, failure_of
from flownet.passes.order_nodes import order_nodes
from flownet.types import TensorType

__all__ = ["OpenCLProgram"]

_ARENA, _INPUTS, _CONSTANTS, _SLABS = range(4)
_DOWNLOADED = 1 << 16  # bytes of an output up to which a run brings it to the host unasked: a loss, a metric's counts
_OF_ONE = 1 << 18  # operations and bytes of a whole run below which a second worker would only be waited for
_OF_EACH = 1 << 22  # and for each worker of a small program
_SMALL = 1 << 28  # for each compute unit: a run below takes so little time that to wake threads would be much of it


class OpenCLProgram(Program):
    """See the module. `launches` are in the order of stages."""

    def __init__(
        self, device: Any, graph: Graph, storages: Mapping[str, OpenCLStorage], without: Collection[str] = ()
    ) -> None:
        self.storages, self.runtime = storages, device.runtime
        self._schedule(device, graph, without)
        self._stages = [*self.schedule.setup, *self.schedule.stages]
        self._setup_count = len(self.schedule.setup)
        self.launches = [launch for stage in self._stages for launch in stage.launches]
        self._choose_workers(without)
        self._place()
        self._apart = not self.runtime.shares_memory  # what is fed and fetched is copied
        # PoCL wakes all its threads for a launch only if it comes from the host: with a second launch queued behind the first, one thread
        # ran both workers one after the other (a step of 0.43 ms took 1.2 ms)
        self._waits_first = self._in_calling_thread or (self.target.kind == "cpu" and self.workers > 1)
        self._events: list[Any] = [None, None]
        self._uploads: list[dict[str, Any]] = [{}, {}]  # copies of inputs for the next run, by name
        # PyOpenCL waits for a copy whose event nobody holds any more: these are held until the run is over
        self._copies: list[list[Any]] = [[], []]
        self._outputs: dict[tuple[str, int], tuple[Region, int, int, np.ndarray]] = {}
        self._current = self._ran = 0  # which of the two sets of inputs is fed, and which the last run read
        self._downloaded: frozenset[str] = frozenset()  # outputs that the last run brought to the host
        self._stale: set[str] = set()
        self._checks: dict[str, list[Node]] = {}
        for node in self.order:
            if isinstance(node.op, InRange) and graph.values[node.inputs["x"]].kind is Kind.INPUT:
                self._checks.setdefault(node.inputs["x"], []).append(node)
        small = {n for n, v in graph.outputs.items() if int(graph.values[v].type.nbytes) <= _DOWNLOADED}  # type: ignore[arg-type]
        self._small_outputs = frozenset(small) if self._apart else frozenset()
        self._pool, self._updates = device.pool, bool(graph.updates)
        self._version = -1
        if self.target.kind == "gpu":
            self._segments = self._separate_launches()
        else:
            self._segments = self._interpreted()
        self.steps = [
            self._step(launch, index) for index, stage in enumerate(self._stages) for launch in stage.launches
        ]
        self.peak_bytes = sum(region.nbytes for region in (self.arena, *self.inputs, self.constants)) + sum(
            s.nbytes for s in storages.values()
        )

    def _choose_workers(self, without: Collection[str]) -> None:
        """How many threads share the work, and whether they are the device's own or the calling one and its standbys."""
        total = sum(launch.kernel.flops + launch.kernel.bytes for launch in self.launches if launch.kernel)
        of_a_cpu, units = self.target.kind == "cpu", self.target.units
        self.workers = 1 if of_a_cpu and total < _OF_ONE else units
        self._in_calling_thread = False
        if of_a_cpu and total < _SMALL * units and "calling_thread" not in without and self.runtime.crew is not None:
            threads = len(self.runtime.crew.devices)
            self._in_calling_thread = threads >= min(self.workers, 2)
            if self._in_calling_thread:
                self.workers = min(self.workers, threads, max(2, total // _OF_EACH))
        self._where = self.runtime.crew if self._in_calling_thread else self.runtime.queue
        # inputs of a program that goes on behind the caller's back have two sets of buffers, which runs take in turn
        self.feeds_while_running = not self._in_calling_thread or self.workers > 1

    def _schedule(self, device: Any, graph: Graph, without: Collection[str] = ()) -> None:
        """The launches, when they run, and where their buffers lie."""
        self.device, self.graph, self.target = device, graph, device.target
        self.order = order_nodes(graph)
        emitter = Emitter(graph, self.target, device.choose)
        launches = emitter.launches(self.order)
        self._emitter = emitter
        launches = self._with_updates(launches, "update_in_place" not in without)
        sizes = self._sizes(launches)
        fixed = frozenset(v.name for v in (*graph.parameters, *graph.states, *graph.of_kind(Kind.CONSTANT)))
        kept = frozenset(self._at(name) for name in graph.outputs.values())
        changing = fixed if "set_up_first" in without else frozenset(graph.updates)
        if "plan_memory" in without:
            kept |= frozenset(sizes)
        self.schedule: Schedule = schedule(launches, sizes, fixed, changing, kept)

    @classmethod
    def arena_bytes(cls, device: Any, graph: Graph) -> int:
        """What the values of a graph take on a device, without taking it."""
        program = cls.__new__(cls)
        program._schedule(device, graph)
        return program.schedule.arena_bytes

    # -- memory ------------------------------------------------------------------------------------------------------------

    def _at(self, value: str) -> str:
        """The buffer of a value, which may be the state that it becomes."""
        buffer = self._emitter.buffer(value)
        return self._in_place.get(buffer, buffer)

    def _with_updates(self, launches: list[Launch], in_place: bool) -> list[Launch]:
        """Let results that become states be written into the states at once where nobody reads the old value later; copies
        at the end for the others."""
        graph, emitter = self.graph, self._emitter
        position = {id(launch): i for i, launch in enumerate(launches)}
        readers: dict[str, list[Launch]] = {}
        writers: dict[str, list[Launch]] = {}
        for launch in launches:
            for name in launch.reads:
                readers.setdefault(name, []).append(launch)
            for name in launch.writes:
                writers.setdefault(name, []).append(launch)
        self._in_place: dict[str, str] = {}
        copies: list[tuple[str, str]] = []
        fetched = {emitter.buffer(name) for name in graph.outputs.values()}
        for state, result in graph.updates.items():
            buffer = emitter.buffer(result)
            made = writers.get(buffer, [])
            fine = (
                in_place
                and len(made) == 1
                and made[0].kernel is not None
                and buffer not in self._in_place
                and not (fetched & {buffer, state})
            )
            if fine:
                at = position[id(made[0])]
                elementwise = hasattr(made[0].node.op, "expressions") or isinstance(made[0].node.op, Fused)
                for reader in readers.get(state, []):
                    fine &= position[id(reader)] < at or (reader is made[0] and elementwise)
            if fine:
                self._in_place[buffer] = state
            else:
                copies.append((state, buffer))
        for launch in launches:
            launch.buffers = {a: self._in_place.get(b, b) for a, b in launch.buffers.items()}
            launch.reads = tuple(dict.fromkeys(self._in_place.get(b, b) for b in launch.reads))
            launch.writes = tuple(dict.fromkeys(self._in_place.get(b, b) for b in launch.writes))
        return launches + [self._copy(state, buffer) for state, buffer in copies]

    def _copy(self, state: str, buffer: str) -> Launch:
        from flownet.devices.opencl.kernels.each import moved
        from flownet.devices.opencl.kernels.elementwise import CTYPES

        type_ = self.graph.values[state].type
        shape = tuple(int(d) for d in type_.shape) or (1,)  # type: ignore[arg-type]
        kernel = moved(
            shape, [(0, i, 1, 1) for i in range(len(shape))], 0, shape, CTYPES[type_.dtype.value], self.target
        )
        producer = self.graph.values[self.graph.updates[state]].producer
        node = self.graph.nodes[producer] if producer else Node(f"store {state}", None, {}, ())
        source = self._in_place.get(buffer, buffer)
        return Launch.of(node, kernel, {"x": source, "y": state})

    def _sizes(self, launches: list[Launch]) -> dict[str, int]:
        """Bytes of the buffers that live in the arena."""
        sizes = dict(self._emitter.scratch)
        for launch in launches:
            for name in (*launch.reads, *launch.writes):
                value = self.graph.values.get(name)
                if value is not None and value.kind is Kind.RESULT:
                    sizes[name] = int(value.type.nbytes)  # type: ignore[arg-type]
        return sizes

    def _place(self) -> None:
        graph, runtime = self.graph, self.runtime
        self.places: dict[str, Place] = {name: (_ARENA, offset // 4) for name, offset in self.schedule.offsets.items()}
        largest = largest_values(graph, self.schedule.lifetimes.values())
        self.arena = Region(runtime, self.schedule.arena_bytes, f"the results of `{graph.name}`", largest)
        offset = 0
        self._input_at: dict[str, tuple[int, TensorType]] = {}
        for value in graph.inputs:
            self._input_at[value.name] = (offset, value.type)
            self.places[value.name] = (_INPUTS, offset // 4)
            offset += -(-int(value.type.nbytes) // ALIGNMENT) * ALIGNMENT  # type: ignore[arg-type]
        what = f"the inputs of `{graph.name}`"
        self.inputs = [Region(runtime, offset, what) for _ in range(1 + self.feeds_while_running)]
        self._fed = [
            {name: region.view(at, type_) for name, (at, type_) in self._input_at.items()} for region in self.inputs
        ]
        offset = 0
        constants = graph.of_kind(Kind.CONSTANT)
        for value in constants:
            self.places[value.name] = (_CONSTANTS, offset // 4)
            offset += -(-int(value.type.nbytes) // ALIGNMENT) * ALIGNMENT  # type: ignore[arg-type]
        self.constants = Region(runtime, offset, f"the constants of `{graph.name}`")
        for value in constants:
            at = 4 * self.places[value.name][1]
            self.constants.view(at, value.type)[...] = np.asarray(value.initial).reshape(tuple(value.type.shape))  # type: ignore[arg-type]
        self.constants.to_device(0, offset)
        self._slabs = sorted({storage.slab for storage in self.storages.values()})
        for name, storage in self.storages.items():
            self.places[name] = (_SLABS + self._slabs.index(storage.slab), storage.offset // 4)

    def _regions(self, current: int) -> list[Region]:
        return [self.arena, self.inputs[current], self.constants, *(self.device.pool.slabs[i] for i in self._slabs)]

    def _view(self, value: str, current: int | None = None) -> tuple[Region, int, TensorType]:
        """Where a value lies: region, offset in bytes, type."""
        region, offset = self.places[self._at(value)]
        regions = self._regions(self._current if current is None else current)
        return regions[region], 4 * offset, self.graph.values[value].type

    # -- one launch for all ------------------------------------------------------------------------------------------------

    def _interpreted(self) -> list[list[Callable[[], Any]]]:
        way = CallingThread if self._in_calling_thread else DeviceThreads
        sets = [self._regions(current) for current in range(len(self.inputs))]
        self._interpreter = way(self.runtime, self._stages, self.places, sets, self.workers, f"`{self.graph.name}`")
        self._launcher = self._interpreter.launcher
        spans: list[tuple[int, int] | Node] = []
        begin = self._setup_count
        for index in range(begin, len(self._stages)):
            if self._stages[index].on_host:
                if begin < index:
                    spans.append((begin, index))
                spans.append(self._stages[index].launches[0].node)
                begin = index + 1
        if begin < len(self._stages):
            spans.append((begin, len(self._stages)))
        self._setup = self._launcher(0, self._setup_count, 0) if self._setup_count else None
        return [
            [
                self._launcher(*span, current) if isinstance(span, tuple) else partial(self._on_host, span, current)
                for span in spans
            ]
            for current in range(len(sets))
        ]

    # -- a launch each -----------------------------------------------------------------------------------------------------

    def _separate_launches(self) -> list[list[Callable[[], Any]]]:
        from flownet.devices.opencl.separate import SeparateLaunches

        separate = SeparateLaunches(self.runtime, self.launches, f"`{self.graph.name}`")
        self._separate = separate
        segments = []
        for current in (0, 1):
            buffers = [region.buffer for region in self._regions(current)]
            runs: list[Callable[[], Any]] = []
            for launch in self.launches[sum(len(s.launches) for s in self.schedule.setup) :]:
                if launch.kernel is None:
                    runs.append(partial(self._on_host, launch.node, current))
                else:
                    runs.append(separate.launcher(launch, self.places, buffers))
            segments.append(runs)
        buffers = [region.buffer for region in self._regions(0)]
        setup = [
            separate.launcher(launch, self.places, buffers)
            for stage in self.schedule.setup
            for launch in stage.launches
        ]
        self._setup = (lambda: [run() for run in setup][-1]) if setup else None
        return segments

    # -- the host's nodes --------------------------------------------------------------------------------------------------

    def _on_host(self, node: Node, current: int) -> None:
        """Compute a node in NumPy, on the host's side of its buffers."""
        self.runtime.busy = self._where
        self.runtime.finish()
        arrays = {}
        for argument, name in node.inputs.items():
            region, offset, type_ = self._view(name)
            region.to_host(offset, int(type_.nbytes))  # type: ignore[arg-type]
            arrays[argument] = region.view(offset, type_)
        with np.errstate(all="ignore"):
            try:
                results = node.op.run(arrays)
                for name, result in zip(node.outputs, results, strict=True):
                    check_shape(node.op, result, tuple(int(d) for d in self.graph.values[name].type.shape))  # type: ignore[arg-type]
            except Exception as error:
                failure = failure_of(node.op, error)
                if not isinstance(failure, FlownetError):
                    raise
                raise failure.placed(node.origin.spans) from error
        for name, result in zip(node.outputs, results, strict=True):
            region, offset, type_ = self._view(name)
            region.view(offset, type_)[...] = result
            region.to_device(offset, int(type_.nbytes))  # type: ignore[arg-type]

    # -- the protocol ------------------------------------------------------------------------------------------------------

    def feed(self, name: str, array: np.ndarray) -> None:
        if self._events[self._current] is not None:  # the step that reads this buffer may still run: take the other one
            self._current ^= 1
            event, self._events[self._current] = self._events[self._current], None
            if event is not None:
                with self.runtime.guarded():
                    event.wait()
            self._copies[self._current] = []
            self._stale = set(self._input_at)
        if self._apart and name in self._uploads[self._current]:  # fed twice for one run
            with self.runtime.guarded():
                self._uploads[self._current].pop(name).wait()
        target = self._fed[self._current][name]
        target[...] = array
        self._stale.discard(name)
        if (checks := self._checks.get(name)) is not None:
            for node in checks:
                try:
                    node.op.check_fed(target)
                except FlownetError as error:
                    raise error.placed(node.origin.spans) from None
        if self._apart:
            self._begin_upload(name)

    def _begin_upload(self, name: str) -> None:
        at, type_ = self._input_at[name]
        event = self.inputs[self._current].begin_upload(at, int(type_.nbytes))  # type: ignore[arg-type]
        if event is not None:
            self._uploads[self._current][name] = event

    def run(self) -> None:
        # a whole step of a tiny network takes no longer than some calls in Python: this does what is needed, and no more
        runtime, current = self.runtime, self._current
        if self._waits_first and runtime.busy is not None:
            runtime.finish()
            self._forget_runs()
        try:
            copies = self._await_inputs() if self._stale or self._apart else []
            self._ran = current
            event = None
            if self._setup is not None and self._version != self._pool.version:
                event = self._setup()
                self._version = self._pool.version
            for step in self._segments[current]:
                event = step() or event
            if self._apart:
                self._begin_downloads(copies)
            if event is not None:
                if not self._in_calling_thread:
                    runtime.queue.flush()
                runtime.busy, self._events[current] = self._where, event
        except runtime.cl.Error as error:
            raise runtime.failed(error) from None
        if self._updates:
            self._count_updates()

    def _begin_downloads(self, copies: list[Any]) -> None:
        """Let small outputs come to the host behind the kernels; hold these copies, and those of the inputs."""
        for name in self._small_outputs:
            region, offset, nbytes, _ = self._output(name)
            copies.append(region.begin_download(self.runtime.queue, offset, nbytes))
        self._downloaded, self._copies[self._current] = self._small_outputs, copies

    def _count_updates(self) -> None:
        """Tell other programs that this one changed parameters; what is set up for itself depends on none of those."""
        if self._updates:
            self._pool.version += 1
        self._version = self._pool.version

    def _await_inputs(self) -> list[Any]:
        """Let all that is launched from now on see what was fed; the copies that it takes."""
        if self._waits_first:
            self.runtime.finish()
        for name in self._stale:  # fed before, but not to this buffer
            self._fed[self._current][name][...] = self._fed[self._current ^ 1][name]
            self._begin_upload(name)
        self._stale = set()
        self._downloaded = frozenset()
        uploads = list(self._uploads[self._current].values())
        if uploads:
            self.runtime.cl.enqueue_barrier(self.runtime.queue, wait_for=uploads)
            self._uploads[self._current].clear()
        return uploads

    def fetch(self, name: str) -> np.ndarray:
        if self.runtime.busy is not None:
            self.runtime.finish()
        region, offset, nbytes, view = self._outputs.get((name, self._ran)) or self._output(name)
        if self._apart and name not in self._downloaded:
            region.to_host(offset, nbytes)
        self._forget_runs()
        return view.copy()

    def array(self, name: str) -> np.ndarray | None:
        if self._apart or self._checks:  # what is fed is copied, or looked at
            return None
        return self._output(name)[3] if name in self.graph.outputs else self._fed[self._current][name]

    def wait(self) -> None:
        self.runtime.finish()
        self._forget_runs()

    def _forget_runs(self) -> None:
        """All runs are over: neither their inputs nor their copies are waited for any more."""
        self._events[0] = self._events[1] = None
        if self._apart:
            self._copies = [[], []]

    def _output(self, name: str) -> tuple[Region, int, int, np.ndarray]:
        """Where an output of the last run lies: region, offset and size in bytes, the host's view of it."""
        key = name, self._ran
        if key not in self._outputs:
            region, offset, type_ = self._view(self.graph.outputs[name], self._ran)
            self._outputs[key] = region, offset, int(type_.nbytes), region.view(offset, type_)  # type: ignore[arg-type]
        return self._outputs[key]

    def run_checked(self) -> str | None:
        """As `run`, stage by stage."""
        with self.runtime.guarded():
            return self._run_checked()

    def _run_checked(self) -> str | None:
        self._await_inputs()
        self._ran = self._current
        self._count_updates()
        for index, stage in enumerate(self._stages):
            if self.target.kind == "gpu" or stage.on_host:
                for launch in stage.launches:
                    self._run_alone(launch)
            else:
                self._launcher(index, index + 1, self._current)()
            self.runtime.busy = self._where
            self.runtime.finish()
            for launch in stage.launches:
                for value in launch.node.outputs:
                    if self._at(value) in launch.writes and self._not_finite(value):
                        return launch.node.name
        return None

    def _run_alone(self, launch: Launch) -> None:
        if launch.kernel is None:
            self._on_host(launch.node, self._current)
        else:
            buffers = [region.buffer for region in self._regions(self._current)]
            self._separate.launcher(launch, self.places, buffers)()

    def _not_finite(self, value: str) -> bool:
        region, offset, type_ = self._view(value)
        region.to_host(offset, int(type_.nbytes))  # type: ignore[arg-type]
        return type_.dtype.is_float and not np.isfinite(region.view(offset, type_)).all()

    def profile(self, repeats: int = 10) -> list[float]:
        """Least seconds of each step alone, in the order of `steps`: every launch runs by itself, between two waits."""
        with self.runtime.guarded():
            return self._profiled(repeats)

    def _profiled(self, repeats: int) -> list[float]:
        import time

        if self.target.kind == "gpu":
            runs: list[Callable[[], Any]] = [partial(self._run_alone, launch) for launch in self.launches]
        else:
            alone = self._interpreter.over([Stage([launch]) for launch in self.launches])
            runs = [
                partial(self._on_host, launch.node, self._current) if launch.kernel is None
                else alone.launcher(i, i + 1, self._current)
                for i, launch in enumerate(self.launches)
            ]  # fmt: skip
            runs.append(alone.launcher(0, 0, self._current))  # what a launch takes that does nothing
        best = [float("inf")] * len(runs)
        self._await_inputs()
        for _ in range(repeats):
            for i, run in enumerate(runs):
                start = time.perf_counter()
                run()
                self.runtime.busy = self._where
                self.runtime.finish()
                best[i] = min(best[i], time.perf_counter() - start)
        overhead = best.pop() if len(best) > len(self.launches) else 0.0
        return [max(seconds - overhead, 1e-7) for seconds in best]

    # -- what people see ---------------------------------------------------------------------------------------------------

    def _step(self, launch: Launch, stage: int) -> Step:
        node = launch.node
        facts: dict[str, Any] = {"stage": stage, "setup": stage < self._setup_count}
        if node.op is None:
            return Step(lambda: None, (), "store", self.device.name)
        if launch.kernel is None:
            types = {a: self.graph.values[v].type for a, v in node.inputs.items()}
            flops, _ = node.op.cost(types, [self.graph.values[v].type for v in node.outputs])
            reason = node.reason or "the graph file says so"
            nbytes = sum(int(self.graph.values[v].type.nbytes) for v in (*node.inputs.values(), *node.outputs))  # type: ignore[arg-type]
            return Step(
                partial(self._run_alone, launch),
                (node.name,),
                node.op.name,
                "cpu",
                int(flops),
                nbytes,
                {**facts, "reason": reason, "transferred": nbytes if self._apart else 0},
            )
        kernel = launch.kernel
        facts |= {"variant": kernel.variant, "groups": int(np.prod(kernel.grid)), "op": str(node.op)}
        return Step(
            partial(self._run_stage, stage),
            (node.name,),
            kernel.name,
            self.device.name,
            kernel.flops,
            kernel.bytes,
            facts,
        )

    def _run_stage(self, stage: int) -> None:
        with self.runtime.guarded():
            self._await_inputs()
            if self.target.kind == "gpu":
                for launch in self._stages[stage].launches:
                    self._run_alone(launch)
            else:
                self._launcher(stage, stage + 1, self._current)()
            self.runtime.busy = self._where
            self.runtime.finish()
