"""What a graph costs: parameters, multiply-adds, FLOPs and memory by node, and in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from flownet.errors import FlownetError
from flownet.graph import Graph, Kind, Node, Value
from flownet.language import Document
from flownet.op import Optimizer
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.passes.order_nodes import order_nodes
from flownet.passes.pipeline import PIPELINE, run_passes
from flownet.passes.placement import most_alive
from flownet.passes.plan_memory import lifetimes, plan_memory
from flownet.passes.specialise_inference import specialise_inference
from flownet.passes.unchanging import set_up_first, unchanging
from flownet.training.training_graph import training_graph
from flownet.types import Symbolic

__all__ = ["Row", "Summary", "summarise"]


@dataclass(frozen=True)
class Row:
    """One node, or several nodes of a block summed up.

    type:          of its first output, symbols left open
    parameters:    numbers that it trains, those that it shares with an earlier node left out
    multiply_adds: of one forward run
    flops:         likewise, a multiply-add being two
    nbytes:        of its outputs
    """

    name: str
    op: str
    type: str
    inputs: tuple[str, ...]
    parameters: int
    multiply_adds: int
    flops: int
    nbytes: int


@dataclass(frozen=True)
class Summary:
    """The rows of a graph in the order of the file, and the totals.

    trainable:       those of `parameters` that an optimiser changes
    state_numbers:   numbers that nodes carry from run to run (running statistics)
    inference_bytes: what the values between the nodes take in a plan for inference, inputs and parameters left out
    training_bytes:  the same for a training step: forward and backward, gradients of the parameters left out
    gradient_bytes:  what the gradients of the parameters take besides, at most at once: an update frees those that it used
    """

    name: str
    batch: int
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    parameter_bytes: int
    state_numbers: int
    multiply_adds: int
    flops: int
    inference_bytes: int
    training_bytes: int
    gradient_bytes: int

    def grouped(self, depth: int) -> list[Row]:
        """The rows with the nodes of a block summed up, where their path is longer than `depth` names."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault("/".join(row.name.split("/")[:depth]), []).append(row)
        return [rows[0] if len(rows) == 1 else _sum(name, rows) for name, rows in groups.items()]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, for `--json`."""
        plain = asdict(self)
        plain["nodes"] = plain.pop("rows")
        return plain


def summarise(document: Document, *, batch: int = 1, sizes: Mapping[str, int] | None = None) -> Summary:
    """The costs of a document's graph.

    batch: the size of the inputs' first dimension, where that is a symbol
    sizes: numbers for other symbols

    Raises FlownetError (`open-size`) for symbols that are left.
    """
    declared = document.graph
    known = {**dict.fromkeys(_batch_symbols(declared), batch), **(sizes or {})}
    graph = declared.bind(known)
    if left := sorted(graph.symbols()):
        raise FlownetError.of(
            "open-size", f"the size `{left[0]}` is open", help=f"give it a number: `--size {left[0]}=224`"
        )
    rows, counted = [], set()
    for node in graph.topological():
        own = [n for n in node.inputs.values() if graph.values[n].kind is Kind.PARAMETER and n not in counted]
        counted.update(own)
        rows.append(
            _row(
                graph,
                node,
                str(declared.values[node.outputs[0]].type),
                sum(int(graph.values[n].type.size) for n in own),
            )
        )
    parameters = graph.parameters
    training_bytes, gradient_bytes = _training_memory(_training_step(document, known))
    return Summary(
        declared.name,
        batch,
        tuple(rows),
        parameters=sum(int(v.type.size) for v in parameters),
        trainable=sum(int(v.type.size) for v in parameters if v.trainable),
        parameter_bytes=sum(int(v.type.nbytes) for v in parameters),
        state_numbers=sum(int(v.type.size) for v in graph.states if v.name != "rng"),
        multiply_adds=sum(row.multiply_adds for row in rows),
        flops=sum(row.flops for row in rows),
        inference_bytes=_arena(specialise_inference(graph)),
        training_bytes=training_bytes,
        gradient_bytes=gradient_bytes,
    )


def cost(graph: Graph, node: Node) -> tuple[int, int]:
    """(FLOPs, multiply-adds) of one run of a node, sizes being numbers; a composite op costs what it is built of."""
    types = {argument: graph.values[name].type for argument, name in node.inputs.items()}
    outputs = [graph.values[name].type for name in node.outputs]
    if node.op.is_composite:
        built = _alone(graph, node)
        parts = [cost(built, part) for part in built.nodes.values()]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)
    flops, multiply_adds = node.op.cost(types, outputs)
    return int(flops), int(multiply_adds)


def _alone(graph: Graph, node: Node) -> Graph:
    """A graph of one composite node, expanded."""
    single = Graph(node.name)
    for name in dict.fromkeys(node.inputs.values()):
        value = graph.values[name]
        single.add_value(value if value.producer is None else _as_input(value))
    single.add_node(node, [graph.values[name].type for name in node.outputs])
    return expand_composites(single)


def _as_input(value: Value) -> Value:
    return replace(value, kind=Kind.INPUT, producer=None)


def _row(graph: Graph, node: Node, type_: str, parameters: int) -> Row:
    flops, multiply_adds = cost(graph, node)
    results = tuple(name for name in node.inputs.values() if graph.values[name].kind in (Kind.INPUT, Kind.RESULT))
    nbytes = 0 if node.op.is_view else sum(int(graph.values[name].type.nbytes) for name in node.outputs)
    return Row(node.name, node.op.name, type_, results, parameters, multiply_adds, flops, nbytes)


def _sum(name: str, rows: list[Row]) -> Row:
    return Row(
        name, f"{len(rows)} nodes", rows[-1].type, rows[0].inputs, sum(r.parameters for r in rows),
        sum(r.multiply_adds for r in rows), sum(r.flops for r in rows), sum(r.nbytes for r in rows),
    )  # fmt: skip


def _training_step(document: Document, sizes: Mapping[str, int]) -> Graph:
    """The graph of a training step; without a `train` section, of the gradients of all parameters."""
    if document.train is not None:
        section = document.train
        batch = {symbol: next(iter(sizes.values())) for symbol in _batch_symbols(section.graph)}
        return training_graph(section).bind({**batch, **sizes})
    graph = expand_composites(document.graph.bind(sizes))
    trained = [value.name for value in graph.parameters if value.trainable]
    floats = [name for name in graph.outputs.values() if graph.values[name].type.dtype.is_float]
    if trained and floats:
        graph, gradients = differentiate(graph, floats[0], trained)
        graph.outputs.update({f"d{name}": gradients[name] for name in trained})
    return graph


def _arena(graph: Graph) -> int:
    graph = run_passes(graph, None, PIPELINE)
    setup, run, _ = set_up_first(graph, order_nodes(graph), unchanging(graph))
    weights = {name for node in setup for name in node.outputs}  # folded ones: no activations
    return plan_memory(graph, [*setup, *run], external=weights).arena_bytes


def _training_memory(graph: Graph) -> tuple[int, int]:
    """Bytes of what a training step makes: without the parameters' gradients, and of these at the step that holds most of them."""
    graph = run_passes(graph, None, PIPELINE)
    order = order_nodes(graph)
    gradients = _parameter_gradients(graph)
    lives, _ = lifetimes(graph, order)
    most = most_alive([life for name, life in lives.items() if name in gradients])
    elsewhere = {*gradients, *graph.updates.values()}  # updates are written into what they update
    return plan_memory(graph, order, external=elsewhere).arena_bytes, most


def _parameter_gradients(graph: Graph) -> set[str]:
    """The results that optimisers take, or that are fetched, as gradients of parameters; before they were clipped or added up, too."""
    shapes = {v.type.shape for v in graph.parameters}
    waiting = [n.inputs["gradient"] for n in graph.nodes.values() if isinstance(n.op, Optimizer)]
    waiting += [graph.outputs[name] for v in graph.parameters if (name := f"d{v.name}") in graph.outputs]
    found: set[str] = set()
    while waiting:
        value = graph.values[waiting.pop()]
        if value.name in found or value.kind is not Kind.RESULT or value.type.shape not in shapes:
            continue
        found.add(value.name)
        maker = graph.nodes[value.producer or ""]
        if hasattr(maker.op, "expressions"):  # clipped, or a sum
            waiting += maker.inputs.values()
    return found


def _batch_symbols(graph: Graph) -> set[str]:
    """The symbols that stand alone as the first dimension of an input."""
    first = [value.type.shape[0] for value in graph.inputs if value.type.rank]
    return {str(dim) for dim in first if isinstance(dim, Symbolic) and str(dim).isidentifier()}
