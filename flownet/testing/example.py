"""An op with concrete arrays for all its inputs: what the checks work on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.types import DType, TensorType

__all__ = ["Example", "Rejected", "example_of", "resized", "type_of", "without_optional"]


class Rejected(Exception):
    """The op says, by a FlownetError, that it does not take these inputs."""


@dataclass(frozen=True)
class Example:
    """An op and its inputs.

    inputs:   arrays by name, parameters and states included, in the op's order
    declared: the names of the parameters
    states:   the names of the states
    expected: literal expectations by output name
    smooth:   whether differences may be taken at these inputs
    given:    whether it is a sample as its author wrote it, which the op must take; what is made of it, it may refuse
    """

    op: Op
    inputs: Mapping[str, np.ndarray]
    declared: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    expected: Mapping[str, object] = field(default_factory=dict)
    smooth: bool = True
    given: bool = False

    @property
    def data(self) -> dict[str, np.ndarray]:
        """The inputs that are neither parameters nor states."""
        return {name: array for name, array in self.inputs.items() if name not in self.declared | self.states}

    @property
    def types(self) -> dict[str, TensorType]:
        return {name: type_of(array) for name, array in self.inputs.items()}

    def infer(self) -> tuple[TensorType, ...]:
        """The types of the outputs. Raises Rejected where the op refuses the inputs."""
        try:
            return self.op.result_types(self.types)
        except FlownetError as error:
            raise Rejected(error.diagnostics[0].message) from None

    def with_inputs(self, inputs: Mapping[str, np.ndarray]) -> Example:
        return replace(self, inputs=inputs, expected={}, given=False)

    def with_data(self, data: Mapping[str, np.ndarray]) -> Example:
        """Other data; parameters and states keep their values where their shapes stay. Raises Rejected."""
        twin = completed(self.op, data)
        kept = {
            name: self.inputs[name] if name in self.inputs and _alike(self.inputs[name], array) else array
            for name, array in twin.inputs.items()
        }
        return replace(twin, inputs={**kept, **data} if self.op.variadic else kept, smooth=self.smooth)

    def with_dtype(self, dtype: type) -> Example:
        """Every floating-point input in another precision."""
        inputs = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in self.inputs.items()}
        return replace(self, inputs=inputs)


def type_of(array: np.ndarray) -> TensorType:
    return TensorType(DType.of(array.dtype), array.shape)


def example_of(sample: Sample, dtype: type = np.float32) -> Example:
    """A sample of the op's author, with parameters and states made for it where the sample has none."""
    given = {name: _array(value, dtype) for name, value in sample.inputs.items()}
    complete = completed(sample.op, given, dtype)
    return replace(complete, expected=sample.outputs, smooth=sample.grad, given=True)


def completed(op: Op, given: Mapping[str, np.ndarray], dtype: type | None = None) -> Example:
    """The example with the parameters and states that the op declares for the inputs `given`. Raises Rejected."""
    op = op.placed("node")
    if dtype is None:
        dtype = next((array.dtype.type for array in given.values() if array.dtype.kind == "f"), np.float32)
    types = {name: type_of(array) for name, array in given.items()}
    try:
        declared = op.declared(types)
        arrays = dict(given)
        generator = np.random.default_rng(20)
        for name, initial in declared.items():
            if name in arrays:
                continue
            array = initial.array(0, name)
            if array.dtype.kind == "f":
                array = array.astype(dtype)
                if initial.is_parameter:  # zeros and ones would hide what is done with them
                    array = (array + generator.uniform(-0.3, 0.3, array.shape)).astype(dtype)
            arrays[name] = array
        arrays = op.in_order(arrays)
    except FlownetError as error:
        raise Rejected(error.diagnostics[0].message) from None
    return Example(
        op, arrays, frozenset(name for name, initial in declared.items() if initial.is_parameter),
        frozenset(name for name, initial in declared.items() if not initial.is_parameter),
    )  # fmt: skip


def resized(example: Example, rows: int, generator: np.random.Generator) -> Iterator[Example]:
    """The example with `rows` along the first axis of the data: of all inputs that share the first one's, else of
    the first alone.

    Rows repeat; floating-point values are scaled by 0.8 to 1 at random, which keeps their signs and their ranges.
    """
    data = example.data
    first = next((name for name, array in data.items() if array.ndim), None)
    if first is None:
        return
    size = data[first].shape[0]
    sharing = [name for name, array in data.items() if array.ndim and array.shape[0] == size]
    for names in (sharing, [first]):
        new = dict(data)
        for name in names:
            array = data[name][np.arange(rows) % size] if size else data[name]
            if array.dtype.kind == "f" and rows > 1:
                array = (array * generator.uniform(0.8, 1.0, array.shape)).astype(array.dtype)
            new[name] = array
        try:
            found = example.with_data(new)
            found.infer()
        except Rejected:
            continue
        yield found
        return


def without_optional(example: Example) -> Iterator[Example]:
    """The example without each of its optional inputs, where the op does without."""
    for name in sorted(example.op.optional_inputs & set(example.inputs) - example.states):
        found = example.with_inputs({n: array for n, array in example.inputs.items() if n != name})
        try:
            found.infer()
        except Rejected:
            continue
        yield found


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _array(value: object, dtype: type) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(dtype) if array.dtype.kind == "f" else array
