"""Compute cheap values a second time where they are wanted again, in place of keeping them from forward to backward.

A network with batch norm keeps two tensors a layer: what the convolution made, for the gradient of the norm, and what the norm and
the activation made of it, for the gradient of the next convolution. The second follows from the first by one pass over
memory. Between its last use in forward and its first in backward it need not exist.

The pass looks at the fused graph in the order in which it will run. At the step where the most memory is alive, it takes
the elementwise node whose result lies idle there and that costs the fewest bytes to repeat, gives its later readers a copy of
the node that runs just before them, and goes on until the peak is below the limit or nothing lowers it any more. A node
can be repeated only if its operands are still there at that time: kept for somebody else, or parameters, or so small
that keeping them does not count. So no chain of nodes is ever repeated, and the peak never rises.

It costs time: ResNet-20's training step takes a third less memory, ResNet-110's a fifth, and 2 to 8% more time. So it is
done where the plan would need more than the device gives at once, or than `--memory-limit` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flownet.expression import Expression, Name
from flownet.graph import Graph, Node
from flownet.op import Elementwise
from flownet.passes.fuse_elementwise import is_elementwise
from flownet.passes.order_nodes import order_nodes
from flownet.passes.plan_memory import Lifetime, lifetimes, plan_memory

__all__ = ["recompute"]

_SMALL = 0.01  # of the result: operands below it may be kept longer
_TRIES = 6  # to get below the limit as the device plans it
_WORTHWHILE = 0.005  # of the peak: results below it are left alone


@dataclass(frozen=True)
class _Idle:
    """A result that nobody reads between two steps; `cost` is the bytes of repeating it."""

    value: str
    nbytes: int
    cost: int
    last_early: int
    first_late: int


def recompute(graph: Graph, limit: int = 0, planned: Callable[[Graph], int] | None = None) -> Graph:
    """The graph with copies of cheap nodes, where its values take more than `limit` bytes at once and that lowers it.

    planned: the bytes that a graph takes as the device plans it, that of a plain plan unless given. A device that runs nodes side by
             side needs more than the search below counts: then it searches again, for as much less

    The graph itself is returned where nothing is to be done, or nothing helps.
    """
    planned = planned or _planned
    if sum(int(v.type.nbytes) for v in graph.values.values() if v.producer) <= limit:  # type: ignore[misc]  # all of them fit
        return graph
    order = order_nodes(graph)
    best, least = graph, planned(graph)
    aim = limit
    for tries_left in reversed(range(_TRIES)):
        if least <= limit:
            break
        taken = least
        if chosen := _Search(graph, order).run(aim):
            made = _with_copies(graph, order, chosen)
            taken = planned(made)
            if taken < least:
                best, least = made, taken
        if aim == 0:
            break
        aim = max(0, aim - max(taken - limit, limit // 100)) if tries_left > 1 else 0
    return best


def _planned(graph: Graph) -> int:
    return plan_memory(graph, order_nodes(graph), external=graph.updates.values()).arena_bytes


class _Search:
    """Which results to repeat, found on the lives of buffers in `order`."""

    def __init__(self, graph: Graph, order: list[Node]) -> None:
        self.graph = graph
        self.lives, self.buffer_of = lifetimes(graph, order, external=graph.updates.values())  # written in place
        self.made = {name: node for node in order for name in node.outputs}
        self.uses: dict[str, list[int]] = {}
        for index, node in enumerate(order):
            for name in node.inputs.values():
                self.uses.setdefault(self.buffer_of[name], []).append(index)
        self.viewed = {buffer for name, buffer in self.buffer_of.items() if name != buffer}
        self.kept = {self.buffer_of[name] for name in (*graph.outputs.values(), *graph.updates.values())}
        self.alive = np.zeros(len(order) + 1, np.int64)
        for life in self.lives.values():
            self.alive[life.first : life.last + 1] += life.nbytes
        self.operands_of_chosen: set[str] = set()  # they must stay

    def run(self, limit: int) -> list[_Idle]:
        chosen: dict[str, _Idle] = {}
        while int(self.alive.max()) > limit:
            peak = int(self.alive.argmax())
            found = [idle for name in self.lives if name not in chosen and (idle := self._idle_at(name, peak, chosen))]
            if not found:
                break
            best = min(found, key=lambda idle: (idle.cost / idle.nbytes, -idle.nbytes))
            chosen[best.value] = best
            self.alive[best.last_early + 1 : best.first_late] -= best.nbytes
            for operand in self._operands(best.value):
                self.operands_of_chosen.add(operand)
        return list(chosen.values())

    def _idle_at(self, name: str, step: int, chosen: dict[str, _Idle]) -> _Idle | None:
        """The result as one to repeat behind `step`, if it can be."""
        life: Lifetime = self.lives[name]
        node = self.made[name]
        if not life.first < step < life.last or name in self.kept or name in self.viewed or not is_elementwise(node):
            return None
        if life.nbytes < _WORTHWHILE * self.alive[step] or name in self.operands_of_chosen:
            return None
        early = [life.first, *(use for use in self.uses[name] if use <= step)]
        late = [use for use in self.uses[name] if use > step]
        if not late or early[-1] >= step:
            return None
        cost = life.nbytes
        for operand in self._operands(name):
            known = self.lives.get(operand)
            if known is None:  # an input, parameter, state or constant is always there
                continue
            cost += known.nbytes
            if operand in chosen and chosen[operand].last_early < late[0]:
                return None  # not there any more, or only behind its own copy
            if known.last < late[0] and known.nbytes > _SMALL * life.nbytes:
                return None
        return _Idle(name, life.nbytes, cost, early[-1], late[0])

    def _operands(self, name: str) -> set[str]:
        return {self.buffer_of[operand] for operand in _copied(self.graph, self.made[name], name)[1].values()}


def _with_copies(graph: Graph, order: list[Node], chosen: list[_Idle]) -> Graph:
    """The graph, its nodes in `order`, with a copy of each chosen result's node before the first late reader."""
    graph = graph.copy()
    copies: dict[int, list[Node]] = {}
    renamed: dict[str, tuple[int, str]] = {}
    for idle in chosen:
        maker = graph.nodes[graph.values[idle.value].producer or ""]
        again = f"{idle.value}/again"  # the value's name: other results of its node may be made again as well
        assert again not in {**graph.nodes, **graph.values}, f"{again} exists"
        op, inputs = _copied(graph, maker, idle.value)
        graph.values[again] = replace(graph.values[idle.value], name=again, producer=again)
        copies.setdefault(idle.first_late, []).append(Node(again, op, inputs, (again,), maker.origin, maker.device))
        renamed[idle.value] = idle.first_late, again
    nodes: dict[str, Node] = {}
    for i, node in enumerate(order):
        for copy in copies.get(i, ()):
            nodes[copy.name] = copy
        inputs = dict(node.inputs)
        for argument, value in inputs.items():
            if value in renamed and i >= renamed[value][0]:
                inputs[argument] = renamed[value][1]
        nodes[node.name] = replace(node, inputs=inputs) if inputs != dict(node.inputs) else node
    graph.nodes = nodes
    return graph


def _copied(graph: Graph, maker: Node, value: str) -> tuple[Elementwise, dict[str, str]]:
    """The op that makes this one of the node's results, and its inputs."""
    expression = list(maker.op.expressions().values())[maker.outputs.index(value)]
    used = _names(expression)
    inputs = {a: name for a, name in maker.inputs.items() if a in used}
    shapes = [graph.values[name].type.shape for name in inputs.values()]
    if not shapes or np.broadcast_shapes(*shapes) != graph.values[value].type.shape:  # type: ignore[arg-type]
        inputs = dict(maker.inputs)  # one that the expression leaves out has the shape
    return Elementwise((("y", expression),), tuple(inputs)), inputs


def _names(expression: Expression) -> set[str]:
    if isinstance(expression, Name):
        return {expression.id}
    return set().union(*(_names(a) for a in getattr(expression, "arguments", ())))
