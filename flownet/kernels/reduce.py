"""Sums, maxima and minima of elementwise expressions over axes: one pass over the operands for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flownet.expression import Expression, Name, evaluate
from flownet.op import Op, broadcast
from flownet.types import Dim, TensorType

__all__ = ["KINDS", "Reduce"]

KINDS = {"sum": np.sum, "max": np.max, "min": np.min}


@dataclass(frozen=True)
class Reduce(Op):
    """For each term (output, kind, expression): the expression over the operands, which broadcast, reduced over `axes`.

    kind:     "sum", "max" or "min"
    keepdims: leave the axes in the shape, with size 1
    Shapes: operands that broadcast to [...] -> [...] without the axes. Sums are taken in float32, in several partial sums.
    """

    terms: tuple[tuple[str, str, Expression], ...]
    operands: tuple[str, ...]
    axes: tuple[int, ...]
    keepdims: bool = False

    name = "reduce"
    category = "kernel"

    @classmethod
    def of(cls, kind: str, axes: Sequence[int], keepdims: bool = False) -> Reduce:
        """The reduction of one value `x`."""
        return cls((("y", kind, Name("x")),), ("x",), tuple(axes), keepdims)

    @cached_property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(output for output, _, _ in self.terms)

    @property
    def signature_inputs(self) -> tuple[str, ...]:
        return self.operands

    @property
    def optional_inputs(self) -> frozenset[str]:
        return frozenset()

    @property
    def variadic(self) -> None:
        return None

    @property
    def is_composite(self) -> bool:
        return False

    @property
    def takes_out(self) -> bool:
        return False

    def declared(self, types: Mapping[str, TensorType]) -> dict:
        return {}

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        full = broadcast(self.name, [type_.shape for type_ in types.values()])
        floats = [type_ for type_ in types.values() if type_.dtype.is_float]
        dtype = floats[0].dtype
        shape = tuple(1 if i in self.axes else d for i, d in enumerate(full) if self.keepdims or i not in self.axes)
        return (TensorType(dtype, shape),) * len(self.terms)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        dtype = next(a.dtype for a in arrays.values() if a.dtype.kind == "f")
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        out = []
        with np.errstate(all="ignore"):
            for _, kind, expression in self.terms:
                full = np.broadcast_to(np.asarray(evaluate(expression, arrays), dtype), shape)
                out.append(np.asarray(KINDS[kind](full, axis=self.axes, keepdims=self.keepdims), dtype))
        return tuple(out)

    def forward(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        results = self.run(dict(zip(self.operands, arrays, strict=True)))
        return results if len(results) > 1 else results[0]

    def cost(self, inputs: Mapping[str, TensorType], outputs: Sequence[TensorType]) -> tuple[Dim, Dim]:
        size: Dim = 1
        for dim in broadcast(self.name, [type_.shape for type_ in inputs.values()]):
            size = size * dim
        return size * len(self.terms), 0

    def __str__(self) -> str:
        texts = "; ".join(f"{output} = {kind} {expression}" for output, kind, expression in self.terms)
        return f"reduce[{texts} over {list(self.axes)}]"
