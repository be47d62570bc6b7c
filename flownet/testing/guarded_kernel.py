"""One kernel of a plugin (a `Template`) alone on its OpenCL device, in memory where every wrong access leaves a trace.

Every buffer lies between two guards. Guards, and outputs before the run, are full of one of several *fills*: a guard that
changed was written to; a result that changes with the fill was read where nothing of the kernel's lies.

Races are found without waiting for an unlucky order. Work-items are independent exactly when no two of them write the same
element, and none reads what another writes. Any two numbers of work-items differ in a bit; so for every bit the work-items
that have it run without the others, over outputs full of a fill. Two work-items that write the same element, do so in
different halves for some bit; and one that reads what another writes, finds the fill for some bit instead. That takes
4·log₂(n) runs, and is no matter of luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from flownet.devices.opencl.emit import Emitter, Launch
from flownet.devices.opencl.separate import SeparateLaunches
from flownet.graph import Builder, Graph
from flownet.kernels import Template
from flownet.testing.example import type_of
from flownet.testing.subject import counted

__all__ = ["GuardedKernel", "kernel_fault"]

_CHOICE = "flownet_chosen_work_items"
Arrays = Mapping[str, np.ndarray]
_GUARD = 1 << 20  # bytes before and behind each buffer, and the buffer's size once more
_FLOATS = (np.nan, -7e30, 0.7390851, -1.618034, 3e30)
_WHOLE = (0, 2, 1, 3, 4)  # they may be indices: small ones
_FILLS = range(len(_FLOATS))
_ORDINARY = (2, 3)  # the fills that change when something is added to them: 7e30 + 1 is 7e30

Fill = Callable[[str, str], int]  # (argument, "before", "inside" or "behind") -> the number of a fill


class GuardedKernel:
    """A template with a built kernel, and guarded memory for its arguments.

    `choose` says which work-items do anything in the next runs; all do at first. That is an `if` around the C, and the one
    difference to what runs in a plan.
    """

    def __init__(self, device: Any, op: Template, inputs: Arrays) -> None:
        self.runtime, self.work_items = device.runtime, op.work_items
        given = {**inputs, _CHOICE: np.zeros(5, np.int32)}
        chosen = f"i >= {_CHOICE}[0] && i < {_CHOICE}[1] && ((i >> {_CHOICE}[2]) & {_CHOICE}[3]) == {_CHOICE}[4]"
        op = replace(op, inputs=(*op.inputs, _CHOICE), source=f"if ({chosen}) {{\n{op.source}\n}}")
        graph = Graph()
        g = Builder(graph)
        made = g.add(op, *(g.input(name, type_of(array)) for name, array in given.items()), name="kernel")
        several = made if isinstance(made, tuple) else (made,)
        (launch,) = Emitter(graph, device.target).emit(graph.nodes["kernel"])
        argument = {value: name for name, value in launch.buffers.items()}
        self.inputs = {name: _numbers(array) for name, array in given.items()}
        self.outputs = {argument[value.name]: _empty(value.type) for value in several}
        self.memory = {name: _Memory(self.runtime, array) for name, array in {**self.inputs, **self.outputs}.items()}
        self._run = self._launcher(launch, op.title)
        self.choose()

    def choose(
        self, *, first: int = 0, behind: int | None = None, bit: int = 0, having: bool | None = None
    ) -> GuardedKernel:
        """Work-items from `first` up to `behind`, those whose number has the bit, or those that have not, alone."""
        behind = self.work_items if behind is None else behind
        self.inputs[_CHOICE] = np.array([first, behind, bit, having is not None, bool(having)], np.int32)
        return self

    def _launcher(self, launch: Launch, title: str) -> Callable[[], Any]:
        named = list(self.memory)
        places = {launch.buffers[name]: (i, self.memory[name].start // 4) for i, name in enumerate(named)}
        # without relaxed math, which takes `0 * x[i + 1]` for 0 and reads nothing: another compiler may read it
        separate = SeparateLaunches(self.runtime, [launch], f"`{title}`", options="-w")
        return separate.launcher(launch, places, [self.memory[name].buffer for name in named])

    def run(self, fill: Fill, *, guards: bool = True) -> dict[str, np.ndarray]:
        """The outputs, from memory filled as `fill` says; without `guards` only the insides of the outputs are filled."""
        for name, memory in self.memory.items():
            memory.put(self.inputs.get(name), partial(fill, name), guards=guards)
        self._run()
        self.runtime.queue.finish()
        return {name: self.memory[name].get() for name in self.outputs}

    def damage(self, fill: Fill) -> str | None:
        """What the last run changed that was not its to change."""
        for name, memory in self.memory.items():
            if (place := memory.written_outside(partial(fill, name))) is not None:
                return f"writes out of bounds: element {place} of `{name}`, which has {memory.array.size}"
            if name in self.inputs and name != _CHOICE and memory.get().tobytes() != self.inputs[name].tobytes():
                return f"changes its input `{name}`"
        return None


def kernel_fault(kernel: GuardedKernel) -> str | None:
    """How the kernel leaves its memory, leaves a part of it unwritten, or counts on what is there; how work-items meet."""
    results = []
    for number in _FILLS:
        results.append(kernel.run(_everywhere(number)))
        if found := kernel.damage(_everywhere(number)):
            return found
    for name, output in kernel.outputs.items():
        untouched = np.ones(output.shape, bool)
        for number, result in enumerate(results):
            untouched &= _same(result[name], np.full_like(output, _value(output.dtype, number)))
        if untouched.any():
            return f"never writes {_element(name, untouched)}"
    return _race(kernel) or (_stray_read(kernel) if _differs(results) else None)


def _stray_read(kernel: GuardedKernel) -> str:
    """Where a kernel reads whose results differ from fill to fill."""
    for suspect, memory in kernel.memory.items():
        for side, words in (("behind", "past the end"), ("before", "before the beginning")):
            if _differs(kernel.run(_at(suspect, side, number)) for number in _FILLS):
                return f"reads out of bounds: {words} of `{suspect}`, which has {counted(memory.array.size, 'element')}"
    return "reads out of bounds: its results depend on what lies beside its arguments"


def _race(kernel: GuardedKernel) -> str | None:
    """How two work-items meet, if they do; or how one counts on what its output held before."""
    whole = _Part(kernel)
    for bit in range(max(kernel.work_items - 1, 0).bit_length()):
        halves = [_Part(kernel.choose(bit=bit, having=having)) for having in (False, True)]
        for name in kernel.outputs:
            twice = halves[0].written(name) & halves[1].written(name)
            if twice.any():
                first, second = _writers(kernel, name, twice, 2)
                return f"has a race: work-items {first} and {second} both write {_element(name, twice)}"
            for half in halves:
                other = half.written(name) & ~(_same(half.one[name], whole.one[name]) & half.settled(name))
                if other.any():
                    (writer,) = _writers(kernel, name, other, 1)
                    what = f"what work-item {writer} writes into {_element(name, other)} depends on what"
                    if (other & whole.settled(name)).any():
                        return f"has a race: {what} others have written"
                    return f"counts on cleared memory: {what} its outputs held before"
    if not all(whole.settled(name).all() for name in kernel.outputs):
        return "counts on cleared memory: what it writes depends on what its outputs held before"
    kernel.choose()
    return None


class _Part:
    """The outputs of the chosen work-items alone, once over each of two fills."""

    def __init__(self, kernel: GuardedKernel) -> None:
        self.one, self.two = (kernel.run(_everywhere(n), guards=False) for n in _ORDINARY)

    def written(self, name: str) -> np.ndarray:
        one, two = self.one[name], self.two[name]
        fills = (np.full_like(one, _value(one.dtype, number)) for number in _ORDINARY)
        return ~(_same(one, next(fills)) & _same(two, next(fills)))

    def settled(self, name: str) -> np.ndarray:
        """Where the result is the same over both fills."""
        return _same(self.one[name], self.two[name])


def _writers(kernel: GuardedKernel, name: str, where: np.ndarray, count: int) -> list[int]:
    """The first work-items that write the first element of `where`."""
    place = int(np.argmax(where))
    found: list[int] = []
    for _ in range(count):
        start = low = found[-1] + 1 if found else 0
        high = kernel.work_items - 1
        while low < high:  # the writer is one of them
            middle = (low + high) // 2
            written = _Part(kernel.choose(first=start, behind=middle + 1)).written(name)
            low, high = (low, middle) if written.reshape(-1)[place] else (middle + 1, high)
        found.append(low)
    return found


class _Memory:
    """An argument's buffer: a guard, the array, a guard."""

    def __init__(self, runtime: Any, array: np.ndarray) -> None:
        self.array, self.runtime = array, runtime
        self.start = _GUARD + -(-array.nbytes // 64) * 64
        self.end = self.start + array.nbytes
        self.host = np.zeros(self.end + self.start, np.uint8)
        flags = runtime.cl.mem_flags.READ_WRITE
        self.buffer = runtime.cl.Buffer(runtime.context, flags, self.host.size)

    def put(self, array: np.ndarray | None, fill: Callable[[str], int], *, guards: bool) -> None:
        """The array, or for None a fill, inside; and fills around it."""
        if guards:
            self.host[: self.start] = self._bytes(self.start, fill("before"))
            self.host[self.end :] = self._bytes(self.start, fill("behind"))
        inside = np.full_like(self.array, _value(self.array.dtype, fill("inside"))) if array is None else array
        self.host[self.start : self.end] = np.ascontiguousarray(inside).reshape(-1).view(np.uint8)
        part = self.host if guards else self.host[self.start : self.end]
        self.runtime.cl.enqueue_copy(self.runtime.queue, self.buffer, part, dst_offset=0 if guards else self.start)

    def get(self) -> np.ndarray:
        inside = np.empty_like(self.array, order="C")
        if inside.size:
            self.runtime.cl.enqueue_copy(self.runtime.queue, inside, self.buffer, src_offset=self.start)
        return inside

    def written_outside(self, fill: Callable[[str], int]) -> int | None:
        """The index, counted from the array's beginning, of an element of a guard that is not as it was filled."""
        now = np.empty_like(self.host)
        self.runtime.cl.enqueue_copy(self.runtime.queue, now, self.buffer)
        for begin, end, part in ((0, self.start, "before"), (self.end, now.size, "behind")):
            changed = np.flatnonzero(now[begin:end] != self._bytes(end - begin, fill(part)))
            if changed.size:
                nearest = int(changed[-1] if part == "before" else changed[0])
                return (begin + nearest - self.start) // self.array.dtype.itemsize
        return None

    def _bytes(self, count: int, number: int) -> np.ndarray:
        dtype = self.array.dtype
        return np.full(count // dtype.itemsize, _value(dtype, number), dtype).view(np.uint8)


def _everywhere(number: int) -> Fill:
    return lambda name, part: number


def _at(suspect: str, side: str, number: int) -> Fill:
    """The fill at one side of one argument, and the first one elsewhere."""
    return lambda name, part: number if (name, part) == (suspect, side) else 0


def _value(dtype: np.dtype, number: int) -> Any:
    return (_FLOATS if dtype.kind == "f" else _WHOLE)[number]


def _empty(type_: Any) -> np.ndarray:
    return _numbers(np.zeros(tuple(int(size) for size in type_.shape), type_.dtype.numpy))


def _numbers(array: np.ndarray) -> np.ndarray:
    """Truth values as numbers: a fill of 3 would become True."""
    return array.view(np.uint8) if array.dtype.kind == "b" else array


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where the bits are the same."""
    bits = f"u{a.dtype.itemsize}"
    return np.asarray(np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits))


def _differs(results: Iterable[Arrays]) -> bool:
    first, *others = results
    return any(not _same(other[name], first[name]).all() for other in others for name in first)


def _element(name: str, where: np.ndarray) -> str:
    place = np.unravel_index(int(np.argmax(where)), where.shape)
    return f"`{name}`[{', '.join(str(int(i)) for i in place)}]" if place else f"`{name}`"
