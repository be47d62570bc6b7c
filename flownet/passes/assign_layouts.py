"""Choose the layout of every image: blocked by channel wherever a convolution or a pool reads or makes it.

Convolutions and pools want images blocked (`flownet.kernels.layout`); elementwise kernels and reductions take either, so they
follow what they read: a region of a network stays blocked from its first convolution to the layer that looks at it as a row of
numbers, forward and backward, and reorders stand at its borders alone. They are made when they are first wanted, once for all who want them.

A first layer's image of one to four channels stays plain: a block of 16 would be mostly zeros.

Lanes past the last channel hold zeros, always: an expression that is not zero there is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flownet.expression import Call, Expression, Name, Number, substitute
from flownet.graph import Builder, Graph, Kind, Node, Value
from flownet.kernels import (
    Block,
    Convolution2D,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    Copy,
    Join,
    Pool,
    PoolGradient,
    Reduce,
    Unblock,
    Unpool,
    View,
)
from flownet.op import Elementwise
from flownet.passes.simplify import simplified

__all__ = ["assign_layouts", "block_images"]

_FEW_CHANNELS = 4
_IMAGE = 4  # axes
_OF_IMAGES = (
    Convolution2D,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    Pool,
    PoolGradient,
    Unpool,
)


def assign_layouts(graph: Graph, target: Any) -> Graph:
    """The graph with images laid out for a CPU target; a GPU's kernels take plain images."""
    if getattr(target, "kind", "") != "cpu":
        return graph
    return _Assignment(graph, target.vector).run()


def block_images(graph: Graph, target: Any) -> Graph:
    """The graph with reorders around each convolution and pool that has plain images, which a CPU's kernels cannot take.

    There are none where `assign_layouts` has run; this is what is left to do when it is switched off.
    """
    plain = any(isinstance(node.op, _OF_IMAGES) and not node.op.blocked for node in graph.nodes.values())
    if getattr(target, "kind", "") != "cpu" or not plain:
        return graph
    return _Assignment(graph, target.vector, regions=False).run()


class _Assignment:
    """Rebuilds the graph node by node; `blocked` knows the blocked twin of a plain value.

    regions: whether what stands between convolutions and pools follows them
    """

    def __init__(self, graph: Graph, v: int, regions: bool = True) -> None:
        self.old, self.v, self.regions = graph, v, regions
        self.new = Graph(graph.name)
        self.g = Builder(self.new)
        self.blocked: dict[str, str] = {}
        self.absent: set[str] = set()  # values whose plain form nobody has wanted yet
        self.masks: dict[int, str] = {}

    def run(self) -> Graph:
        for value in self.old.values.values():
            if value.kind is not Kind.RESULT:
                self.new.add_value(value)
        for node in self.old.topological():
            self.g = Builder(self.new, node.name, node.origin, node.device)
            if node.device == "cpu" or not self._blocked_node(node):
                for name in node.inputs.values():
                    self._plain(name)
                self._keep(node)
        for name in (*self.old.outputs.values(), *self.old.updates.values()):
            self.g = Builder(self.new, origin=self.old.values[name].origin)  # the lines of what is asked for
            self._plain(name)
        self.new.outputs, self.new.updates = dict(self.old.outputs), dict(self.old.updates)
        return self.new

    # -- values --------------------------------------------------------------------------------------------------------------

    def _type(self, name: str):
        return self.old.values[name].type if name in self.old.values else self.new.values[name].type

    def _plain(self, name: str) -> Value:
        """The value in its plain layout."""
        if name in self.absent:
            self.absent.discard(name)
            twin = self.new.values[self.blocked[name]]
            node = Node(
                self.g.fresh("unblock"),
                Unblock(int(self._type(name).shape[1])),
                {"x": twin.name},
                (name,),
                self.g.origin,
            )
            self.new.add_node(node, [self._type(name)])
        return self.new.values[name]

    def _twin(self, name: str) -> Value:
        """The value blocked by channel; values of fewer than four axes are taken as [.., c, 1, 1]."""
        if name not in self.blocked:
            x = self._plain(name)
            lead = _IMAGE - x.type.rank
            if lead:
                x = self.g.add(View((1,) * lead + tuple(x.type.shape)), x)  # type: ignore[arg-type]
            self.blocked[name] = self.g.add(Block(self.v), x).name
        return self.new.values[self.blocked[name]]

    def _is_blocked(self, name: str) -> bool:
        return self.regions and name in self.blocked and self._type(name).rank == _IMAGE

    def _keep(self, node: Node) -> None:
        self.new.add_node(node, [self.old.values[name].type for name in node.outputs])

    def _emit(self, node: Node, op: Any, inputs: Mapping[str, Value], plain_outputs: bool = False) -> None:
        """Add the node with blocked outputs (or plain ones)."""
        inputs_ = {a: value.name for a, value in inputs.items()}
        types = op.result_types({a: value.type for a, value in inputs.items()})
        if plain_outputs:
            self.new.add_node(replace(node, op=op, inputs=inputs_), types)
            return
        names = tuple(f"{name}/blocked" for name in node.outputs)
        self.new.add_node(replace(node, op=op, inputs=inputs_, outputs=names), types)
        for name, twin in zip(node.outputs, names, strict=True):
            self.blocked[name] = twin
            self.absent.add(name)

    # -- nodes ---------------------------------------------------------------------------------------------------------------

    def _blocked_node(self, node: Node) -> bool:
        """Add the node in blocked form, if it has one and should have it."""
        op = node.op
        inputs = node.inputs
        match op:
            case Convolution2D() | ConvolutionWeightGradient():
                planar = op.channels <= _FEW_CHANNELS and op.groups == 1 and not self._is_blocked(inputs["x"])
                x = self._plain(inputs["x"]) if planar else self._twin(inputs["x"])
                op = replace(op, blocked=self.v, planar=planar)
                if isinstance(op, Convolution2D):
                    self._emit(node, op, {"x": x, "w": self._plain(inputs["w"])})
                else:
                    self._emit(node, op, {"x": x, "dy": self._twin(inputs["dy"])}, plain_outputs=True)
                return True
            case ConvolutionInputGradient():
                self._emit(
                    node, replace(op, blocked=self.v), {"dy": self._twin(inputs["dy"]), "w": self._plain(inputs["w"])}
                )
                return True
            case Pool() | PoolGradient() | Unpool():
                channels = int(self._type(node.outputs[0]).shape[1])
                self._emit(
                    node, replace(op, blocked=self.v, channels=channels), {a: self._twin(n) for a, n in inputs.items()}
                )
                return True
            case Join():
                return self._join(node)
            case Copy():
                return self._copy(node)
            case Reduce():
                return self._reduce(node)
        if hasattr(op, "expressions") and any(self._is_blocked(name) for name in inputs.values()):
            shape = self._type(node.outputs[0]).shape
            if len(shape) == _IMAGE and any(
                self._is_blocked(n) and self._type(n).shape == shape for n in inputs.values()
            ):
                operands, zeros = self._operands(inputs, int(shape[1]))
                terms = {o: simplified(e) for o, e in op.expressions().items()}
                terms, operands = self._masked(terms, operands, zeros, int(shape[1]))
                self._emit(node, Elementwise(tuple(terms.items()), tuple(operands)), operands)
                return True
        return False

    def _operands(self, inputs: Mapping[str, str], channels: int) -> tuple[dict[str, Value], set[str]]:
        """Operands that broadcast to a blocked image, and those of them that are zero past the last channel."""
        operands, zeros = {}, set()
        for argument, name in inputs.items():
            shape = (1,) * (_IMAGE - self._type(name).rank) + tuple(self._type(name).shape)
            if (shape[1] == channels and channels > 1) or (self._is_blocked(name) and shape[1] == channels):
                operands[argument] = self._twin(name)
                zeros.add(argument)
            elif all(dim == 1 for dim in shape):
                operands[argument] = self._plain(name)
            else:
                operands[argument] = self.g.add(View((*shape, 1)), self._plain(name))
        return operands, zeros

    def _masked(self, terms: Mapping[str, Expression], operands: dict[str, Value], zeros: set[str], channels: int):
        """Terms that are zero past the last channel."""
        if channels % self.v == 0:
            return terms, operands
        nothing = {name: Number(0.0) for name in zeros}
        open_terms = {o for o, e in terms.items() if simplified(substitute(e, nothing)) != Number(0.0)}
        if not open_terms:
            return terms, operands
        if channels not in self.masks:
            mask = np.zeros((1, -(-channels // self.v), 1, 1, self.v), np.float32)
            mask.reshape(-1)[:channels] = 1
            self.masks[channels] = (
                Builder(self.new).constant(mask, name=Builder(self.new).fresh(f"lanes_of_{channels}")).name
            )
        operands = {**operands, "lanes": self.new.values[self.masks[channels]]}
        wrapped = {
            o: Call("where", (Call("gt", (Name("lanes"), Number(0.0))), e, Number(0.0))) if o in open_terms else e
            for o, e in terms.items()
        }
        return wrapped, operands

    def _reduce(self, node: Node) -> bool:
        op: Reduce = node.op
        names = node.inputs.values()
        full = max((self._type(n).shape for n in names), key=lambda shape: (len(shape), tuple(map(int, shape))))
        if len(full) != _IMAGE or not any(self._is_blocked(n) and self._type(n).shape == full for n in names):
            return False
        channels = int(full[1])
        axes = tuple(axis % _IMAGE for axis in op.axes)
        if 1 in axes and (channels % self.v or set(axes) != {0, 1, 2, 3}):
            return False
        operands, zeros = self._operands(node.inputs, channels)
        terms, operands = self._masked({o: e for o, _, e in op.terms}, operands, zeros, channels)
        op = replace(op, terms=tuple((o, kind, terms[o]) for o, kind, _ in op.terms), operands=tuple(operands))
        if 1 in axes:
            self._emit(node, replace(op, axes=(0, 1, 2, 3, 4), keepdims=False), operands, plain_outputs=True)
            if op.keepdims:
                return self._undo(node)
            return True
        made = self.g.add(replace(op, axes=axes, keepdims=True), **operands)
        made = made if isinstance(made, tuple) else (made,)
        for name, value in zip(node.outputs, made, strict=True):
            kept = tuple(1 if i in axes else int(d) for i, d in enumerate(full))
            if op.keepdims:
                self.blocked[name] = value.name
                self.absent.add(name)
            else:
                flat = self.g.add(Unblock(channels), value)
                shape = tuple(int(d) for d in self._type(name).shape)
                view = Node(self.g.fresh("view"), View(shape), {"x": flat.name}, (name,), self.g.origin)
                self.new.add_node(view, [self._type(name)])
                if int(np.prod(kept)) == channels:  # a vector of channels: its blocked form is there already
                    self.blocked[name] = value.name
        return True

    def _undo(self, node: Node) -> bool:
        """Take a node back that cannot be blocked after all."""
        self.new.remove_node(node.name)
        return False

    def _join(self, node: Node) -> bool:
        op: Join = node.op
        names = list(node.inputs.values())
        if self._type(node.outputs[0]).rank != _IMAGE or not any(self._is_blocked(n) for n in names):
            return False
        if op.axis == 1 and any(int(self._type(n).shape[1]) % self.v for n in names):
            return False
        self._emit(node, op, {a: self._twin(n) for a, n in node.inputs.items()})
        return True

    def _copy(self, node: Node) -> bool:
        """Copies that move whole blocks of channels."""
        op: Copy = node.op
        (name,) = node.inputs.values()
        if not self._is_blocked(name) or len(op.shape) != _IMAGE:
            return False
        channels = int(self._type(name).shape[1])
        offset, axis, step, divisor = op.coordinates[1]
        others = [c[1] for i, c in enumerate(op.coordinates) if i != 1]
        if (axis, step, divisor) != (1, 1, 1) or 1 in others:
            return False
        whole = offset == 0 and op.shape[1] == channels and (op.fill == 0 or channels % self.v == 0)
        if not whole and (offset % self.v or op.shape[1] % self.v or channels % self.v):
            return False
        blocks = -(-op.shape[1] // self.v)
        shape = (op.shape[0], blocks, *op.shape[2:], self.v)
        coordinates = (op.coordinates[0], (offset // self.v, 1, 1, 1), *op.coordinates[2:], (0, 4, 1, 1))
        (argument,) = node.inputs
        self._emit(node, Copy(shape, coordinates, op.fill, op.gaps), {argument: self._twin(name)})
        return True
