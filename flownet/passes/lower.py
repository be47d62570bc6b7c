"""Replace ops by the kernels that compute them; what has no kernels is placed on the host.

An op's own `opencl(self, g, *inputs)`, or `opencl_<method>` for its gradient `<method>`, wins over what the hook `flownet_kernels` brings for its
name. Elementwise ops are kernels as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph, Node, Value
from flownet.kernels import Copy, Reduce, View
from flownet.op import SumTo
from flownet.op.gradient import Gradient
from flownet.types import DType

__all__ = ["Fallback", "is_empty", "lower"]

_DTYPES = {DType.float32, DType.int8, DType.int16, DType.int32, DType.int64, DType.uint8, DType.uint32, DType.bool}


class Fallback(Exception):
    """Raised by a lowering that does not cover a case: the node is placed on the host. Its text says why."""


def lower(graph: Graph, kernels: Mapping[str, Any], fallback: str = "warn") -> Graph:
    """The graph of kernels, and of nodes with `device="cpu"`.

    kernels: op name (`conv2d`, `conv2d.backward_x`) -> lowering `f(op, g, *inputs)`, which returns the node's values: one, a tuple
             in the outputs' order, or a mapping by output
    fallback: "error" raises FlownetError (`no-kernel`) for a node without kernels; else NumPy computes it. Where there is nothing to
              compute (`is_empty`), NumPy does that in any case
    """
    graph = graph.copy()
    replacements: dict[str, str] = {}
    for node in list(graph.topological()):
        node = _current(graph, node, replacements)
        values = {a: graph.values[name] for a, name in node.inputs.items()}
        if node.device == "cpu":
            continue
        reason = _unsupported(graph, node)
        if not reason:
            if (
                hasattr(node.op, "expressions")
                or node.op.is_view
                or (node.op.category == "kernel" and not isinstance(node.op, SumTo))
            ):
                continue
            try:
                made = _lowered(graph, node, values, kernels)
            except Fallback as why:
                made, reason = None, str(why)
            if made is not None:
                for name, value in zip(node.outputs, made, strict=True):
                    _check(graph, node, name, value)
                    replacements[name] = value.name
                graph.nodes.pop(node.name)
                for name in node.outputs:
                    graph.values.pop(name)
                continue
            reason = reason or f"`{node.op.name}` has no kernels"
        if fallback == "error" and not is_empty(graph, node):
            raise FlownetError.of(
                "no-kernel", f"the node `{node.name}` cannot run on the device: {reason}", span=node.origin.span,
                help="`--fallback warn` lets NumPy compute it",
            )  # fmt: skip
        graph.nodes[node.name] = replace(node, device="cpu", reason=reason)
    final = {name: _end(replacements, name) for name in replacements}
    graph.replace_values(final)
    return graph


def _current(graph: Graph, node: Node, replacements: Mapping[str, str]) -> Node:
    """The node with its inputs as they are by now."""
    inputs = {a: _end(replacements, name) for a, name in node.inputs.items()}
    if inputs != dict(node.inputs):
        graph.nodes[node.name] = node = replace(node, inputs=inputs)
    return node


def _end(replacements: Mapping[str, str], name: str) -> str:
    while name in replacements:
        name = replacements[name]
    return name


def is_empty(graph: Graph, node: Node) -> bool:
    """Whether the node takes or makes a value without elements: a batch of no examples."""
    return any(0 in graph.values[name].type.shape for name in (*node.inputs.values(), *node.outputs))


def _unsupported(graph: Graph, node: Node) -> str:
    """Why no kernel takes the node's element types, or nothing."""
    for name in (*node.inputs.values(), *node.outputs):
        type_ = graph.values[name].type
        if type_.dtype not in _DTYPES:
            return f"`{name}` is {type_}, and kernels compute in float32"
        if 0 in type_.shape:
            return f"`{name}` is {type_}: it has no elements"
    return ""


def _lowered(graph: Graph, node: Node, values: Mapping[str, Value], kernels: Mapping[str, Any]) -> list[Value] | None:
    op = node.op
    g = Builder(graph, node.name, node.origin, node.device)
    if isinstance(op, SumTo):
        return [_sum_to(g, op, values["x"])]
    inner = op.op if isinstance(op, Gradient) else op
    own = getattr(inner, f"opencl_{op.method}" if isinstance(op, Gradient) else "opencl", None)
    if op.variadic:
        arguments = [value for name, value in values.items()]
    else:
        arguments = [values.get(name) for name in op.signature_inputs]  # type: ignore[misc]
    if own is not None:
        result = own(g, *arguments)
    elif op.name in kernels:
        result = kernels[op.name](op, g, *arguments)
    else:
        return None
    if isinstance(op, Gradient) and not isinstance(result, Mapping):
        # an op's own method returns all gradients that its `backward` returns; those that nobody needs are left out
        every = result if isinstance(result, tuple) else (result,)
        result = dict(zip(op.returned if len(every) == len(op.returned) else op.wrt, every, strict=True))
    if isinstance(result, Mapping):
        return [result[name] for name in (op.wrt if isinstance(op, Gradient) else op.outputs)]
    return list(result) if isinstance(result, tuple) else [result]


def _sum_to(g: Builder, op: SumTo, x: Value) -> Value:
    axes = op.axes(x.type.rank, x.type.shape)
    if axes:
        x = g.add(Reduce.of("sum", axes), x)
    return x if x.type.shape == op.shape else g.add(View(tuple(op.shape)), x)  # type: ignore[arg-type]


def _check(graph: Graph, node: Node, name: str, value: Value) -> None:
    wanted = graph.values[name].type
    if value.type != wanted:
        raise FlownetError.of(
            "bad-lowering", f"the kernels of `{node.op.name}` make {value.type} where {wanted} is due (node `{node.name}`)",
            help="mend the op's `opencl` method",
        )  # fmt: skip


def stretched(g: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    """x, repeated until it has `shape`, by NumPy's rules."""
    if x.type.shape == shape:
        return x
    lead = len(shape) - x.type.rank
    coordinates = tuple((0, None if dim == 1 else lead + i, 1, 1) for i, dim in enumerate(x.type.shape))
    return g.add(Copy(tuple(shape), coordinates), x)
