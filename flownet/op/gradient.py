"""The backward of an op as a node of its own, so that one scheduler, one memory plan and one fuser see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flownet.op.contract import Op, _signature, wanted
from flownet.types import TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Gradient", "gradient_nodes"]


@dataclass(frozen=True)
class Gradient(Op):
    """The gradients of the inputs `wrt` of `op`, by its method `method`; outputs are called `d<input>`.

    Its inputs are the arguments of that method: the values kept, and the gradients that arrive (`dy`).
    """

    op: Op
    method: str
    wrt: tuple[str, ...]
    types: tuple[TensorType, ...]
    returned: tuple[str, ...]  # the inputs whose gradients the method returns, `wrt` being those that anybody needs

    category = "gradient"

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.op.name}.{self.method}"

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"d{name}" for name in self.wrt)

    @property
    def _meaning(self) -> Any:
        return getattr(type(self.op), self.method)

    @property
    def is_composite(self) -> bool:
        return False

    @property
    def takes_out(self) -> bool:
        return False

    def infer(self) -> tuple[TensorType, ...]:
        return self.types

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        return self.types

    def declared(self, types: Mapping[str, TensorType]) -> dict:
        return {}

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        result = self.bound(arrays)()
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    def bound(self, arrays: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        method = getattr(self.op, self.method)
        call = partial(method, *wanted(method, arrays))
        if self.wrt == self.returned:
            return call
        places = [self.returned.index(name) for name in self.wrt]

        def chosen() -> list[np.ndarray]:
            gradients = call()
            return [gradients[place] for place in places]

        return chosen

    def cost(self, inputs: Mapping[str, TensorType], outputs: Sequence[TensorType]) -> tuple[Any, Any]:
        forward_flops, multiply_adds = 0, 0
        if self.method != "backward" and "dy" in inputs:  # each of conv2d's gradients is one convolution again
            types = {**inputs, **dict(zip(self.wrt, self.types, strict=True)), "y": inputs["dy"]}
            needed = _signature(self.op.multiply_adds.__func__).inputs  # type: ignore[attr-defined]
            if all(name in types for name in needed):  # a bias' gradient, a sum, has not what the product is counted by
                multiply_adds = self.op._call(self.op.multiply_adds, types)
                forward_flops = 2 * multiply_adds
        return forward_flops or sum((type_.size for type_ in self.types), start=0), multiply_adds

    def bind(self, sizes: Mapping[str, int]) -> Gradient:
        return replace(self, op=self.op.bind(sizes), types=tuple(type_.bind(sizes) for type_ in self.types))

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(self.wrt)}]"


def gradient_nodes(
    op: Op,
    g: Builder,
    inputs: Mapping[str, Value],
    outputs: Mapping[str, Value],
    douts: Mapping[str, Value],
    wrt: Sequence[str],
) -> dict[str, Value]:
    """One `Gradient` node for each `backward_<input>` that is needed, and one for `backward`."""
    available = {**inputs, **outputs, **{f"d{name}": value for name, value in douts.items()}}
    gradients: dict[str, Value] = {}
    single = [name for name in wrt if hasattr(op, f"backward_{name}")]
    for name in single:
        gradients |= _add(op, g, f"backward_{name}", (name,), (name,), inputs, available)
    together = tuple(name for name in wrt if name not in single)
    if together and hasattr(op, "backward"):
        returned = tuple(op.differentiable or (name for name in inputs if inputs[name].type.dtype.is_float))
        needed = tuple(name for name in together if name in returned)
        if needed:
            gradients |= _add(op, g, "backward", needed, returned, inputs, available)
    return gradients


def _add(
    op: Op,
    g: Builder,
    method: str,
    wrt: tuple[str, ...],
    returned: tuple[str, ...],
    inputs: Mapping[str, Value],
    available: Mapping[str, Value],
) -> dict[str, Value]:
    signature = _signature(getattr(type(op), method))
    if signature.variadic:  # `backward(self, dy, *x)`: all of the variadic inputs are kept
        count = sum(
            name.startswith(signature.variadic) and name[len(signature.variadic) :].isdigit() for name in inputs
        )
        kept = [*signature.inputs, *(f"{signature.variadic}{i}" for i in range(count))]
    else:
        kept = list(signature.inputs)
    node_op = Gradient(op, method, wrt, tuple(inputs[name].type for name in wrt), returned)
    named = {name: available[name] for name in kept if name in available}
    values = g.add(node_op, **named)
    return dict(zip(wrt, values if isinstance(values, tuple) else (values,), strict=True))
