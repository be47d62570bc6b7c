"""Where two devices first differ on a graph, forward or backward, and the smallest graph file that still shows it.

Both devices start from the same weights. First device `a` runs the graph, and device `b` runs every node by itself, fed with
what `a` has computed before it: so the first difference is a cause and not a consequence, and no node is blamed for the
rounding of others, which at a kink or a tie decides everything. Then `b` runs the graph as users do, with its kernels fused,
and the outputs and gradients are compared as a whole; what lies beyond the tolerance and beyond what rounding may do is
followed back to the first value that shows it.

The node found is then cut out with as few of its predecessors as still show the difference, fed with the numbers that `a`
computed. Each candidate is written as a graph file, read back and compared from the start: what is returned does show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flownet.devices.device import Device
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.executor.session import sizes_of
from flownet.graph import Builder, Graph, Kind, Value
from flownet.language import Document, expand, load
from flownet.op import Op
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.passes.pipeline import Pass
from flownet.registry import Registry
from flownet.types import TensorType

__all__ = ["Comparison", "Difference", "Side", "compare", "made_up_inputs"]

TOLERANCE = 1e-3
"""Relative to a value's magnitude: one node's sums in another order stay below 1e-5."""


@dataclass(frozen=True)
class Side:
    """One of the two devices, with the passes that graphs go through on it."""

    name: str
    device: Device
    passes: Sequence[Pass]
    without: Sequence[str] = ()

    def session(self, seed: int, weights: Mapping[str, np.ndarray]) -> Session:
        return _WithWeights(self, seed, weights)


class _WithWeights(Session):
    """A session whose parameters are `weights`, where these have them, as soon as a graph brings them in."""

    def __init__(self, side: Side, seed: int, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(side.device, seed=seed, passes=side.passes, without=side.without)
        self._weights = weights

    def initialise(self, graph: Graph) -> None:
        super().initialise(graph)
        self.write({name: array for name, array in self._weights.items() if name in self.storages})


@dataclass(frozen=True)
class Difference:
    """The first value that differs.

    node:      the node of the graph file that it belongs to
    op:        that node's op
    backward:  whether it is a gradient that the node computes
    value:     the value's name in the compiled graph
    place:     where it differs most
    a, b:      what the two devices have there
    error:     |a − b|, relative to the value's magnitude
    elements:  how many elements differ beyond the tolerance, and of how many
    fused:     it shows only where the value is not fetched, so that its kernel is fused with others
    """

    node: str
    op: str
    backward: bool
    value: str
    place: tuple[int, ...]
    a: float
    b: float
    error: float
    elements: tuple[int, int]
    fused: bool = False

    @property
    def direction(self) -> str:
        return "backward" if self.backward else "forward"


@dataclass(frozen=True)
class Comparison:
    """What came out.

    whole:    how far the graph's outputs and gradients are apart as a whole, ‖a − b‖ / ‖a‖
    is_noise: they are further apart than the tolerance, and so are two runs of `a` on inputs that differ by rounding
    compared: number of values that were compared
    worst:    the largest relative error among those within the tolerance, and its value
    first:    the first difference, or None
    smallest: the graph file that still shows it, as a text; `inputs` is what to feed it
    nodes:    how many nodes that file has
    """

    compared: int
    worst: tuple[float, str]
    first: Difference | None = None
    smallest: str = ""
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    nodes: int = 0
    whole: float = 0.0
    is_noise: bool = False


def compare(
    document: Document,
    a: Side,
    b: Side,
    inputs: Mapping[str, np.ndarray],
    *,
    weights: Mapping[str, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
    backward: bool = True,
    seed: int = 0,
    registry: Registry | None = None,
    shrink: bool = True,
    plugins: Sequence[str] | None = None,
) -> Comparison:
    """Run `document`'s graph, in its training form, on both devices and find the first value that differs.

    weights:  parameters and states by name; others start as the seed says
    backward: also compare the gradients of a weighted sum of the outputs, with random weights, with respect to all
              parameters and inputs
    shrink:   cut out the smallest graph that shows it
    plugins:  what that file says it needs; what the document says unless given
    """
    weights = weights or {}
    needs = document.plugins if plugins is None else tuple(plugins)
    found = _first_difference(document, a, b, inputs, weights, tolerance, backward, seed)
    if found.first is None or not shrink:
        return found
    for candidate, fed in _cut_out(document, found.first.node, a, inputs, weights, seed):
        try:  # the plugins are here already, and local files are named from where the document lies
            again = load(expand(replace(candidate, plugins=())), registry=registry)
            shown = _first_difference(again, a, b, fed, weights, tolerance, found.first.backward, seed)
        except FlownetError:  # a graph that was cut so is none: the next one is larger
            continue
        if shown.first is not None and shown.first.node == found.first.node:
            return replace(
                found, smallest=expand(replace(candidate, plugins=needs)), inputs=fed, nodes=len(again.nodes)
            )
    whole = replace(document, train=None, plugins=needs)
    return replace(found, smallest=expand(whole), inputs=inputs, nodes=len(document.nodes))


def made_up_inputs(
    graph: Graph, batch: int, seed: int = 0, sizes: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Normal random numbers for a graph's inputs, 0 and 1 for whole numbers; symbols not in `sizes` get `batch`."""
    generator = np.random.default_rng(seed)
    bound = graph.bind(dict.fromkeys(graph.symbols(), batch) | dict(sizes or {}))
    made = {}
    for value in bound.inputs:
        shape = tuple(int(dim) for dim in value.type.shape)  # type: ignore[arg-type]
        if value.type.dtype.is_float:
            made[value.name] = generator.normal(size=shape).astype(value.type.dtype.numpy)
        else:
            made[value.name] = generator.integers(0, 2, shape).astype(value.type.dtype.numpy)
    return made


# -- comparing -------------------------------------------------------------------------------------------------------


def _first_difference(
    document: Document,
    a: Side,
    b: Side,
    inputs: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    tolerance: float,
    backward: bool,
    seed: int,
) -> Comparison:
    graph, fed, ends = _prepared(document.graph, inputs, backward, seed)
    needed = graph.ancestors(ends)
    order = [node for node in graph.topological() if node.name in needed]
    order.sort(key=lambda node: "'" in node.name)  # gradient nodes bear a prime: forward first, each in its order
    names = [name for node in order for name in node.outputs if _is_comparable(graph.values[name])]
    sessions = (a.session(seed, weights), b.session(seed, weights))
    on_a = sessions[0].run(_fetching(graph, names), fed)
    apart, given = _taken_apart(graph, names, on_a)
    alone = sessions[1].run(apart, {**fed, **given})
    worst = (0.0, "")
    for name in names:
        error, difference = _difference(graph, document, name, on_a[name], alone[name], tolerance)
        if difference is not None:
            return Comparison(len(names), worst, difference)
        worst = max(worst, (error, name))
    # every node is right by itself; now as a user runs it: what is between the ends may be fused, and is not fetched
    on_b = sessions[1].run(_fetching(graph, ends), fed)
    errors = {name: _distance(on_a[name], on_b[name]) for name in ends}
    whole = max(errors.values(), default=0.0)
    if whole <= tolerance:
        return Comparison(len(names), worst, whole=whole)
    noise = _sensitivity(graph, names, on_a, a, sessions[0], fed, seed)
    wrong = [name for name in ends if errors[name] > max(tolerance, _NOISE_MARGIN * noise[name])]
    if not wrong:
        return Comparison(len(names), worst, whole=whole, is_noise=True)
    reached = graph.ancestors(wrong)
    for name in [*(n for n in names if graph.values[n].producer in reached), *wrong]:
        fetched = on_b[name] if name in wrong else sessions[1].run(_fetching(graph, [name]), fed)[name]
        if _distance(on_a[name], fetched) > max(tolerance, _NOISE_MARGIN * noise[name]):
            _, difference = _difference(graph, document, name, on_a[name], fetched, 0.0)
            assert difference is not None
            return Comparison(len(names), worst, replace(difference, fused=True), whole=whole)
    raise AssertionError("one of the ends was wrong")


def _taken_apart(
    graph: Graph, names: Sequence[str], known: Mapping[str, np.ndarray]
) -> tuple[Graph, dict[str, np.ndarray]]:
    """The graph with every edge between two nodes cut, each node fed with what is `known`; and what to feed it.

    So no node sees another's rounding: at a kink or a tie, where a rounding changes everything, all are fed alike.
    """
    twin = _fetching(graph, names)
    given: dict[str, np.ndarray] = {}

    def cut(name: str) -> str:
        value = graph.values[name]
        if value.kind is not Kind.RESULT or name not in known:
            return name
        if f"given/{name}" not in twin.values:
            twin.add_value(Value(f"given/{name}", value.type, Kind.INPUT))
            given[f"given/{name}"] = known[name]
        return f"given/{name}"

    wanted = {graph.values[name].producer for name in names}
    for node in graph.nodes.values():
        if node.name in wanted:
            twin.nodes[node.name] = replace(
                node, inputs={argument: cut(name) for argument, name in node.inputs.items()}
            )
    return twin, given


_NOISE = 1e-5
"""The relative change of inputs and weights by which a graph's sensitivity is measured: some eighty roundings of float32."""

_NOISE_MARGIN = 10.0


def _sensitivity(
    graph: Graph,
    names: Sequence[str],
    known: Mapping[str, np.ndarray],
    side: Side,
    session: Session,
    fed: Mapping[str, np.ndarray],
    seed: int,
) -> dict[str, float]:
    """How far each value moves when inputs and weights change by `_NOISE`: what rounding alone may do, at kinks too."""
    found = dict.fromkeys(names, 0.0)
    generator = np.random.default_rng(seed)

    def moved(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            return array
        return (array * (1 + _NOISE * generator.normal(size=array.shape))).astype(array.dtype)

    for _ in range(2):
        weights = {name: moved(array) for name, array in session.read().items()}
        run = side.session(seed, weights).run(
            _fetching(graph, names), {name: moved(array) for name, array in fed.items()}
        )
        for name in names:
            found[name] = max(found[name], _distance(known[name], run[name]))
    return found


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖ / ‖a‖; infinite where one is finite and the other is not."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    finite = np.isfinite(x)
    if (finite != np.isfinite(y)).any():
        return float("inf")
    return float(np.linalg.norm(x[finite] - y[finite]) / (np.linalg.norm(x[finite]) + 1e-30)) if finite.any() else 0.0


@dataclass(frozen=True)
class _WeightedSum(Op):
    """Σ y · seed over all pairs, whose gradients are the seeds. It stands in for a loss, and is never run."""

    name = "weighted_sum"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape()

    def forward(self, *x: np.ndarray) -> np.ndarray:
        raise AssertionError("only its gradient is asked for")

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {f"x{i}": inputs[f"x{i + 1}"] for i in range(0, len(inputs), 2)}


def _prepared(
    declared: Graph, inputs: Mapping[str, np.ndarray], backward: bool, seed: int
) -> tuple[Graph, dict[str, np.ndarray], list[str]]:
    """The graph with its gradients, what to feed it, and the values that a user would fetch of it."""
    graph = declared.bind(sizes_of(declared, inputs))
    graph.updates = {}
    fed = {name: np.asarray(array) for name, array in inputs.items()}
    roots = [
        graph.values[name] for name in dict.fromkeys(graph.outputs.values()) if graph.values[name].type.dtype.is_float
    ]
    roots = [value for value in roots if value.kind is Kind.RESULT]
    wrt = [v.name for v in graph.values.values() if v.kind in (Kind.PARAMETER, Kind.INPUT) and v.type.dtype.is_float]
    if not (backward and roots and wrt):
        graph = expand_composites(graph)
        return graph, fed, list(dict.fromkeys(graph.outputs.values()))
    g = Builder(graph)
    generator = np.random.default_rng(seed)
    pairs: list[Value] = []
    for value in roots:
        name = g.fresh(f"weights_of/{value.name}")
        fed[name] = np.asarray(generator.uniform(-1, 1, value.type.shape), value.type.dtype.numpy)  # type: ignore[arg-type]
        pairs += [value, g.input(name, value.type)]
    root = g.add(_WeightedSum(), *pairs)
    graph = expand_composites(graph)
    ends = list(dict.fromkeys(graph.outputs.values()))
    graph, gradients = differentiate(graph, root.name, wrt)
    graph.remove_node(root.name)
    ends += [name for name in gradients.values() if graph.values[name].kind is Kind.RESULT]
    used = {name for node in graph.nodes.values() for name in node.inputs.values()} | set(ends)
    for name in [name for name in fed if name not in inputs and name not in used]:
        del fed[name], graph.values[name]
    return graph, fed, ends


def _is_comparable(value: Value) -> bool:
    return value.kind is Kind.RESULT


def _fetching(graph: Graph, names: Iterable[str]) -> Graph:
    twin = graph.copy()
    twin.outputs = {name: name for name in names}
    return twin


def _difference(
    graph: Graph, document: Document, name: str, a: np.ndarray, b: np.ndarray, tolerance: float
) -> tuple[float, Difference | None]:
    """The largest error of a value relative to its magnitude, and the difference if that is beyond the tolerance."""
    if not a.size:
        return 0.0, None
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    finite = np.isfinite(x)
    magnitude = float(np.sqrt(np.mean(np.square(x[finite])))) if finite.any() else 0.0
    with np.errstate(all="ignore"):
        # an element counts by its own size and by that of its neighbours: sums that cancel are as exact as their terms
        errors = np.abs(x - y) / (np.abs(x) + magnitude + 1e-30)
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        errors = np.where(same, 0.0, np.where(np.isfinite(errors), errors, np.inf))
    wrong = errors > (tolerance if a.dtype.kind == "f" else 0)
    worst = float(errors.max())
    if not wrong.any():
        return worst, None
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))
    producer = graph.values[name].producer or name
    node = _declared(producer, document)
    return worst, Difference(
        node, document.graph.nodes[node].op.name if node in document.graph.nodes else graph.nodes[producer].op.name,
        "'" in producer, name, place, a[place].item(), b[place].item(), worst, (int(wrong.sum()), wrong.size),
    )  # fmt: skip


def _declared(producer: str, document: Document) -> str:
    """The node of the file that a node of the compiled graph belongs to: `dropout_1/random_uniform`, `conv2d_1'/…`."""
    name = producer.partition("'")[0]
    while name not in document.graph.nodes and "/" in name:
        name = name.rpartition("/")[0]
    return name


# -- the smallest graph that shows it --------------------------------------------------------------------------------


def _cut_out(
    document: Document,
    node: str,
    a: Side,
    inputs: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    seed: int,
) -> Iterator[tuple[Document, dict[str, np.ndarray]]]:
    """Documents with the node and 0, 1, 2, 4, … nodes before it; of each one example first, then the whole batch.

    Of the node alone 2, 4, … examples are tried, too: a kernel may be wrong behind its 256th element alone.
    """
    graph = document.graph.bind(sizes_of(document.graph, inputs))
    if node not in graph.nodes:
        return
    graph.updates = {}
    values = [name for n in graph.nodes.values() for name in n.outputs]
    known = {**inputs, **a.session(seed, weights).run(_fetching(graph, values), inputs)}
    before = _nearest_first(graph, node)
    most = max((array.shape[0] for array in inputs.values() if array.ndim), default=1)
    count = 0
    while True:
        kept = {node, *before[:count]}
        few = (1,) if count else (1, 2, 4, 8, 16, 32)
        for rows in (*(rows for rows in few if rows < most), None):
            yield _document_of(document, graph, node, kept, known, rows)
        if count >= len(before):
            return
        count = min(max(1, count * 2), len(before))


def _nearest_first(graph: Graph, node: str) -> list[str]:
    """The nodes that `node` depends on, breadth first."""
    found: dict[str, None] = {}
    edge = [node]
    while edge:
        producers = [graph.values[value].producer for name in edge for value in graph.nodes[name].inputs.values()]
        edge = list(dict.fromkeys(p for p in producers if p is not None and p not in found))
        found.update(dict.fromkeys(edge))
    return list(found)


def _document_of(
    document: Document, graph: Graph, node: str, kept: set[str], known: Mapping[str, np.ndarray], rows: int | None
) -> tuple[Document, dict[str, np.ndarray]]:
    """The nodes `kept` as a document, whose inputs are the values that come from outside, cut to `rows` of the batch."""
    part = Graph(f"{graph.name}_{node.replace('/', '_')}")
    spelt: dict[str, str] = {}
    fed: dict[str, np.ndarray] = {}
    inner = {output for name in kept for output in graph.nodes[name].outputs}
    outside = [
        value for name in graph.nodes if name in kept for value in graph.nodes[name].inputs.values()
        if value not in inner and graph.values[value].kind in (Kind.RESULT, Kind.INPUT)
    ]  # fmt: skip
    batch = next((known[name].shape[0] for name in outside if known[name].ndim), 0)
    for value in dict.fromkeys(outside):
        spelt[value] = _identifier(value, {*spelt.values(), *kept})
        array = known[value]
        if rows and array.ndim and array.shape[0] == batch:
            array = array[:rows]
        fed[spelt[value]] = array
        Builder(part).input(spelt[value], TensorType(graph.values[value].type.dtype, array.shape))
    part.outputs = {name: name for name in graph.nodes[node].outputs}
    nodes = tuple(
        replace(
            declaration,
            inputs={argument: spelt.get(value, value) for argument, value in declaration.inputs.items()},
            share=declaration.share if declaration.share in kept else None,
        )
        for declaration in document.nodes
        if declaration.name in kept
    )
    return Document(part, plugins=document.plugins, nodes=nodes), fed


def _identifier(value: str, taken: set[str]) -> str:
    base = "".join(c if c.isalnum() else "_" for c in value)
    base = base if base[:1].isalpha() else f"x_{base}"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name
