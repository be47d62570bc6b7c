"""The graph as data: values, the nodes that make them, and what is to be updated. It knows no op.

Every edge is a *value* with a name and a type. A value is fed (`INPUT`), trained (`PARAMETER`), carried from one run to the
next (`STATE`), fixed (`CONSTANT`), or made by a node (`RESULT`). `updates` says which result becomes which state's or
parameter's next value: that is all that tells a training graph from any other. `outputs` says under which names which
values can be fetched; passes may replace the values, the names stay.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flownet.source import Span
from flownet.types import TensorType, symbols_of

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Graph", "Kind", "Node", "Origin", "Value"]


class Kind(enum.Enum):
    """Where a value comes from."""

    INPUT = "input"
    PARAMETER = "parameter"
    STATE = "state"
    CONSTANT = "constant"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in a user's file a node was written, and the includes, blocks and repeats that it came through."""

    span: Span | None = None
    stack: tuple[str, ...] = ()
    fused: tuple[Span, ...] = ()  # where the nodes were written that passes fused into this one

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every place that it comes from."""
        own = () if self.span is None else (self.span,)
        return tuple(dict.fromkeys((*own, *self.fused)))

    def joined(self, other: Origin) -> Origin:
        """The origin of a node that another one was fused into."""
        return Origin(
            self.span or other.span, self.stack or other.stack, tuple(dict.fromkeys((*self.fused, *other.spans)))
        )


@dataclass(frozen=True, slots=True)
class Value:
    """One edge.

    producer:  the node that makes it (RESULT), else None
    initial:   how it starts: an `Initial` of the op that declared it (PARAMETER, STATE), an array (CONSTANT)
    trainable: whether an optimiser may change it (PARAMETER)
    """

    name: str
    type: TensorType
    kind: Kind = Kind.RESULT
    producer: str | None = None
    initial: Any = field(default=None, compare=False)
    trainable: bool = False
    origin: Origin = field(default=Origin(), compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op: `inputs` maps the op's argument names to value names, `outputs` follow `op.outputs`.

    An optional argument that is left out is absent from `inputs`. The arguments of a variadic op are `x0`, `x1`, …
    `after` names nodes that must run earlier although no value flows (an in-place update after all readers). `device` is where
    it runs if not where the graph does, and `reason` why.
    """

    name: str
    op: Any
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    origin: Origin = field(default=Origin(), compare=False)
    device: str | None = None
    after: tuple[str, ...] = ()
    reason: str = field(default="", compare=False)


class Graph:
    """Values and nodes by name, in the order in which they were added; mutable, and cheap to copy."""

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.values: dict[str, Value] = {}
        self.nodes: dict[str, Node] = {}
        self.outputs: dict[str, str] = {}
        self.updates: dict[str, str] = {}

    def output(self, *names: str) -> None:
        """Let the values `names` be fetched by their own names."""
        self.outputs.update({name: name for name in names})

    def copy(self) -> Graph:
        """An independent graph with the same nodes and values (which are immutable, and so shared)."""
        twin = Graph(self.name)
        twin.values, twin.nodes = dict(self.values), dict(self.nodes)
        twin.outputs, twin.updates = dict(self.outputs), dict(self.updates)
        return twin

    # -- building ------------------------------------------------------------------------------------------------------

    def add_value(self, value: Value) -> Value:
        assert value.name not in self.values, f"value {value.name} exists"
        self.values[value.name] = value
        return value

    def add_node(self, node: Node, types: Iterable[TensorType]) -> tuple[Value, ...]:
        """Add a node and the values that it makes."""
        assert node.name not in self.nodes, f"node {node.name} exists"
        self.nodes[node.name] = node
        return tuple(
            self.add_value(Value(name, type_, producer=node.name, origin=node.origin))
            for name, type_ in zip(node.outputs, types, strict=True)
        )

    def remove_node(self, name: str) -> None:
        """Remove a node with the values that it makes; nobody may use them any more."""
        for output in self.nodes.pop(name).outputs:
            del self.values[output]

    def replace_values(self, replacements: Mapping[str, str]) -> None:
        """Let everybody who uses a key use its value instead; outputs go on being fetched by the names they had."""
        if not replacements:
            return
        for node in list(self.nodes.values()):
            if any(name in replacements for name in node.inputs.values()):
                inputs = {argument: replacements.get(name, name) for argument, name in node.inputs.items()}
                self.nodes[node.name] = replace(node, inputs=inputs)
        self.outputs = {name: replacements.get(value, value) for name, value in self.outputs.items()}
        self.updates = {state: replacements.get(name, name) for state, name in self.updates.items()}

    # -- looking -------------------------------------------------------------------------------------------------------

    def of_kind(self, kind: Kind) -> list[Value]:
        return [value for value in self.values.values() if value.kind is kind]

    @property
    def inputs(self) -> list[Value]:
        return self.of_kind(Kind.INPUT)

    @property
    def parameters(self) -> list[Value]:
        return self.of_kind(Kind.PARAMETER)

    @property
    def states(self) -> list[Value]:
        return self.of_kind(Kind.STATE)

    def input_values(self, node: Node) -> list[Value]:
        return [self.values[name] for name in node.inputs.values()]

    def output_values(self, node: Node) -> list[Value]:
        return [self.values[name] for name in node.outputs]

    def consumers(self) -> dict[str, list[Node]]:
        """For each value the nodes that use it, each node once."""
        users: dict[str, list[Node]] = {name: [] for name in self.values}
        for node in self.nodes.values():
            for name in dict.fromkeys(node.inputs.values()):
                users[name].append(node)
        return users

    def digraph(self) -> nx.DiGraph:
        """The nodes' names as a networkx graph: an edge wherever one must run before the other."""
        import networkx as nx  # for who looks at graphs; it takes a quarter of a second, which a start has not

        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((earlier, later) for earlier, names in self._followers().items() for later in names)
        return graph

    def _followers(self) -> dict[str, dict[str, None]]:
        """For each node those that must run later, since they use what it makes or say so."""
        followers: dict[str, dict[str, None]] = {name: {} for name in self.nodes}
        for node in self.nodes.values():
            for name in node.inputs.values():
                if (producer := self.values[name].producer) is not None:
                    followers[producer][node.name] = None
            for earlier in node.after:
                if earlier in self.nodes:
                    followers[earlier][node.name] = None
        return followers

    def topological(self) -> Iterator[Node]:
        """The nodes in an order in which every value is made before it is used.

        Generation by generation: first those that wait for nobody, then those that wait for these alone, and so on.
        """
        followers = self._followers()
        waiting = dict.fromkeys(self.nodes, 0)
        for names in followers.values():
            for name in names:
                waiting[name] += 1
        generation = [name for name, count in waiting.items() if not count]
        found = 0
        while generation:
            following: list[str] = []
            for name in generation:
                found += 1
                yield self.nodes[name]
                for follower in followers[name]:
                    waiting[follower] -= 1
                    if not waiting[follower]:
                        following.append(follower)
            generation = following
        assert found == len(self.nodes), "the graph has a cycle"

    def ancestors(self, targets: Iterable[str]) -> set[str]:
        """The names of the nodes that the values `targets` depend on."""
        found: set[str] = set()
        stack = [self.values[name].producer for name in targets]
        while stack:
            name = stack.pop()
            if name is None or name in found:
                continue
            found.add(name)
            stack += [self.values[value].producer for value in self.nodes[name].inputs.values()]
            stack += [earlier for earlier in self.nodes[name].after if earlier in self.nodes]
        return found

    def symbols(self) -> set[str]:
        """The symbols in the types of the graph's inputs: what `bind` needs."""
        return symbols_of(dim for value in self.inputs for dim in value.type.shape)

    def bind(self, sizes: Mapping[str, int]) -> Graph:
        """The graph with numbers put in for symbols, in types and in ops that carry types."""
        twin = self.copy()
        for name, value in self.values.items():
            if (type_ := value.type.bind(sizes)) is not value.type:
                twin.values[name] = replace(value, type=type_)
        for name, node in self.nodes.items():
            if (op := node.op.bind(sizes)) is not node.op:
                twin.nodes[name] = replace(node, op=op)
        return twin

    def __str__(self) -> str:
        from flownet.graph.printer import to_text

        return to_text(self)
