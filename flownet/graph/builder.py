"""Adding ops to a graph: names, inferred types, and the parameters and states that an op declares."""

from __future__ import annotations

from typing import Any

import numpy as np

from flownet.graph.graph import Graph, Kind, Node, Origin, Value
from flownet.types import DType, TensorType

__all__ = ["Builder"]


class Builder:
    """Adds nodes to `graph`; names that are not given come from the op's name, below `scope`.

    Composite ops, gradients and lowerings get a builder whose scope is the node that they stand for, so that what they
    make is called `scope/op`, `scope/op_2`, … and carries that node's origin and device.
    """

    def __init__(self, graph: Graph, scope: str = "", origin: Origin = Origin(), device: str | None = None) -> None:
        self.graph, self.scope, self.origin, self.device = graph, scope, origin, device
        self._counts: dict[str, int] = {}

    def below(self, scope: str, origin: Origin | None = None, device: str | None = None) -> Builder:
        """A builder for the inside of node `scope`."""
        return Builder(self.graph, scope, origin or self.origin, device or self.device)

    def fresh(self, base: str) -> str:
        """A name that neither a node nor a value has: `base`, `base_2`, … below the scope."""
        prefix = f"{self.scope}/{base}" if self.scope else base
        count = self._counts.get(prefix, 0)
        while True:
            count += 1
            name = prefix if count == 1 else f"{prefix}_{count}"
            if name not in self.graph.nodes and name not in self.graph.values:
                self._counts[prefix] = count
                return name

    # -- values that no node makes ---------------------------------------------------------------------------------------

    def input(self, name: str, type: TensorType, origin: Origin | None = None) -> Value:
        return self.graph.add_value(Value(name, type, Kind.INPUT, origin=origin or self.origin))

    def constant(self, array: Any, dtype: DType | None = None, name: str | None = None) -> Value:
        """A fixed array; numbers become arrays of `dtype` (float32 unless given)."""
        array = np.asarray(array, dtype.numpy if dtype else None)
        if dtype is None and array.dtype == np.float64 and array.ndim == 0:
            array = array.astype(np.float32)
        type_ = TensorType(DType.of(array.dtype), array.shape)
        return self.graph.add_value(Value(name or self.fresh("constant"), type_, Kind.CONSTANT, initial=array))

    def parameter(self, name: str, type: TensorType, initial: Any, trainable: bool = True) -> Value:
        return self.graph.add_value(
            Value(name, type, Kind.PARAMETER, initial=initial, trainable=trainable, origin=self.origin)
        )

    def state(self, name: str, type: TensorType, initial: Any) -> Value:
        return self.graph.add_value(Value(name, type, Kind.STATE, initial=initial, origin=self.origin))

    # -- nodes -----------------------------------------------------------------------------------------------------------

    def add(
        self,
        op: Any,
        *positional: Value,
        name: Any = None,  # str | None; written so that `**inputs` of values passes a type checker
        trainable: Any = True,
        initialisers: Any = None,
        **named: Value | None,
    ) -> Any:
        """Apply `op`: its value, or the tuple of its values when it has several outputs.

        Inputs are given by position or by name; parameters and states that the op declares and that are not given are
        made, as `node.weight`, with the op's initialiser or the one that `initialisers` has for them. A state's update
        that the op declares is entered in `graph.updates`.
        """
        node_name = name if name is not None else self.fresh(op.name.replace(".", "_"))
        given = {argument: value for argument, value in (op.arguments(positional) | named).items() if value is not None}
        op = op.placed(node_name)
        types = {argument: value.type for argument, value in given.items()}
        declared = op.declared(types)
        for argument, initial in declared.items():
            if argument in given:
                continue
            value_name = f"{node_name}.{argument}"
            if initial.is_parameter:
                chosen = initial.started_by((initialisers or {}).get(argument))
                value = self.parameter(value_name, initial.type, chosen, trainable and initial.trainable)
            else:
                shared = initial.shared_name
                known = self.graph.values.get(shared) if shared else None
                value = known or self.state(shared or value_name, initial.type, initial)
            given[argument] = value
        given = op.in_order(given)
        result_types = op.result_types({argument: value.type for argument, value in given.items()})
        outputs = tuple(f"{node_name}.{output}" if index else node_name for index, output in enumerate(op.outputs))
        inputs = {argument: value.name for argument, value in given.items()}
        node = Node(node_name, op, inputs, outputs, self.origin, self.device)
        values = self.graph.add_node(node, result_types)
        for argument, output in op.updates.items():
            if argument in given and given[argument].kind in (Kind.STATE, Kind.PARAMETER):
                self.graph.updates[given[argument].name] = values[op.outputs.index(output)].name
        return values[0] if len(values) == 1 else values
