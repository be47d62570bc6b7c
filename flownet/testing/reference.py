"""Forward and gradients by NumPy, node by node, without passes, plans and shared memory: the reference for devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flownet.graph import Builder, Graph, Kind, Value
from flownet.op import Op
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.testing.example import Example, type_of
from flownet.types import TensorType

__all__ = ["DifferentiatedOp", "apply", "as_graph", "differentiated", "evaluate", "forward", "run_op", "wants_gradient"]


def forward(op: Op, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by name, of copies of the inputs."""
    arrays = {name: array.copy() for name, array in inputs.items()}
    return run_op(op, arrays)


def run_op(op: Op, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by name; a composite op runs as what it expands to."""
    with np.errstate(all="ignore"):
        if not op.is_composite:
            return dict(zip(op.outputs, op.run(arrays), strict=True))
        known = dict(arrays)
        nodes, constants, outputs = _expanded(op, tuple((name, type_of(array)) for name, array in arrays.items()))
        known.update(constants)
        for inner, inputs, results in nodes:
            known.update(zip(results, inner.run({a: known[name] for a, name in inputs.items()}), strict=True))
        return {output: known[name] for output, name in outputs.items()}


@lru_cache(maxsize=32)  # differences run an op hundreds of times on inputs of the same types
def _expanded(
    op: Op, types: tuple[tuple[str, TensorType], ...]
) -> tuple[list[tuple[Op, Mapping[str, str], tuple[str, ...]]], dict[str, np.ndarray], dict[str, str]]:
    """A composite op as the ops that it is made of, in order, with their inputs' and outputs' names; constants; outputs."""
    graph = Graph()
    g = Builder(graph)
    made = apply(g, op, {name: g.input(name, type_) for name, type_ in types})
    graph.outputs = dict(zip(op.outputs, (value.name for value in made), strict=True))
    graph = expand_composites(graph)
    needed = graph.ancestors(graph.outputs.values())
    nodes = [(n.op, n.inputs, n.outputs) for n in graph.topological() if n.name in needed]
    constants = {v.name: np.asarray(v.initial) for v in graph.values.values() if v.kind is Kind.CONSTANT}
    return nodes, constants, dict(graph.outputs)


def evaluate(
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    wanted: Iterable[str],
    before_gradients: Callable[[], object] | None = None,
) -> dict[str, np.ndarray]:
    """The values of the graph that `wanted` depends on; `before_gradients` is called between forward and backward."""
    known = {name: array for name, array in feeds.items() if name in graph.values}
    for value in graph.values.values():
        if value.kind is Kind.CONSTANT:
            known[value.name] = np.asarray(value.initial)
    needed = graph.ancestors(wanted)
    order = [node for node in graph.topological() if node.name in needed]
    order.sort(
        key=lambda node: "'" in node.name
    )  # gradient nodes bear a prime; a stable sort keeps the rest of the order
    called = before_gradients is None
    with np.errstate(all="ignore"):
        for node in order:
            if not called and before_gradients is not None and "'" in node.name:
                before_gradients()
                called = True
            results = node.op.run({argument: known[name] for argument, name in node.inputs.items()})
            known.update(zip(node.outputs, results, strict=True))
    return known


@dataclass(frozen=True)
class _Projection(Op):
    """Σ y · seed over all pairs: the scalar whose gradient is asked for. It is never run."""

    name = "projection"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape()

    def forward(self, *x: np.ndarray) -> np.ndarray:
        return np.asarray(sum((y * seed).sum() for y, seed in zip(x[::2], x[1::2], strict=True)), x[0].dtype)

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {f"x{i}": inputs[f"x{i + 1}"] for i in range(0, len(inputs), 2)}


@dataclass(frozen=True)
class DifferentiatedOp:
    """An op with its gradients as a graph.

    seeds:     random arrays by value name, that the outputs are projected on
    gradients: input -> the value that is its gradient
    outputs:   output -> the value that it is
    """

    graph: Graph
    seeds: Mapping[str, np.ndarray]
    gradients: Mapping[str, str]
    outputs: Mapping[str, str]

    def run(
        self, inputs: Mapping[str, np.ndarray], before_gradients: Callable[[], object] | None = None
    ) -> dict[str, np.ndarray]:
        """The gradients by input."""
        known = evaluate(self.graph, {**inputs, **self.seeds}, self.gradients.values(), before_gradients)
        return {name: known[value] for name, value in self.gradients.items()}


def differentiated(example: Example, *, parameters: bool = False, seed: int = 1) -> DifferentiatedOp | None:
    """The op's gradients for random seeds, or None where no output depends smoothly on an input.

    parameters: whether the op's parameters are parameters of the graph with these values, instead of inputs
    """
    wrt = wants_gradient(example)
    generator = np.random.default_rng(seed)
    graph = Graph()
    g = Builder(graph)
    values = {}
    for name, array in example.inputs.items():
        if parameters and name in example.declared:
            values[name] = g.parameter(name, type_of(array), array)
        else:
            values[name] = g.input(name, type_of(array))
    made = apply(g, example.op, values)
    graph.outputs = dict(zip(example.op.outputs, (value.name for value in made), strict=True))
    seeds, pairs = {}, []
    for output, value in zip(example.op.outputs, made, strict=True):
        if value.type.dtype.is_float:
            name = f"seed/{output}"
            seeds[name] = np.asarray(generator.uniform(0.5, 1.5, value.type.shape), value.type.dtype.numpy)  # type: ignore[arg-type]
            seeds[name] *= generator.choice([-1, 1], seeds[name].shape)
            pairs += [value, g.input(name, value.type)]
    if not pairs or not wrt:
        return None
    root = g.add(_Projection(), *pairs, name="projected")
    graph = expand_composites(graph)
    outputs = dict(graph.outputs)
    graph, found = differentiate(graph, root.name, wrt)
    graph.outputs.update(outputs)
    return DifferentiatedOp(graph, seeds, found, outputs)


def wants_gradient(example: Example) -> list[str]:
    """The inputs that must have a gradient: those the op lists, else, if it has any gradient, all of floating point."""
    op = example.op
    floats = [name for name, array in example.inputs.items() if array.dtype.kind == "f" and name not in example.states]
    if op.differentiable is not None:
        return [name for name in floats if name in op.differentiable]
    if op.is_composite or hasattr(op, "expressions"):
        return floats
    written = any(name.startswith("backward") for name in dir(type(op))) or type(op).gradient is not Op.gradient
    return floats if written else []


def apply(g: Builder, op: Op, inputs: Mapping[str, Value]) -> tuple[Value, ...]:
    """The outputs of the op, as a node called `node`."""
    made = g.add(op, name="node", **inputs)  # type: ignore[arg-type]  # an input may have any name
    return made if isinstance(made, tuple) else (made,)


def as_graph(example: Example) -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The op and its gradients as a graph, what to feed, and what NumPy makes of it."""
    outputs = forward(example.op, example.inputs)
    expected = {f"output `{name}`": array for name, array in outputs.items()}
    gradients = differentiated(example, parameters=True)
    if gradients is None:
        graph = Graph()
        g = Builder(graph)
        several = apply(g, example.op, {name: g.input(name, type_of(a)) for name, a in example.inputs.items()})
        graph.outputs = {f"output `{o}`": v.name for o, v in zip(example.op.outputs, several, strict=True)}
        return graph, dict(example.inputs), expected
    graph = gradients.graph
    graph.outputs = {f"output `{name}`": value for name, value in gradients.outputs.items()}
    graph.outputs |= {f"gradient of `{name}`": value for name, value in gradients.gradients.items()}
    arrays = gradients.run(example.inputs)
    expected |= {f"gradient of `{name}`": arrays[name] for name in gradients.gradients}
    feeds = {**example.inputs, **gradients.seeds}
    return graph, {value.name: feeds[value.name] for value in graph.inputs}, expected
