"""A kernel with what happens to its result while it is still in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flownet.expression import Expression, evaluate
from flownet.op import Op
from flownet.types import Dim, TensorType

__all__ = ["ACC", "Fused"]

ACC = "acc"  # the base's result in expressions


@dataclass(frozen=True)
class Fused(Op):
    """`base` followed by elementwise terms over its result, called `acc`, and over operands that broadcast to it.

    terms: (output, expression), the same shape as the result
    sums:  (output, expression), summed over everything but the channels: the last axis, of a blocked image (1, 4);
           the shape keeps the other axes with size 1
    """

    base: Op
    terms: tuple[tuple[str, Expression], ...]
    operands: tuple[str, ...]
    sums: tuple[tuple[str, Expression], ...] = ()

    category = "kernel"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.base.name

    @cached_property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(output for output, _ in (*self.terms, *self.sums))

    @property
    def signature_inputs(self) -> tuple[str, ...]:
        return (*self.base.signature_inputs, *self.operands)

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

    def base_type(self, types: Mapping[str, TensorType]) -> TensorType:
        """The type of the base's result."""
        return self.base.result_types({name: types[name] for name in self.base.signature_inputs})[0]

    @staticmethod
    def kept_axes(base: Op, rank: int) -> tuple[int, ...]:
        """The axes of channels of a result of that rank."""
        if rank == 5:
            return (1, 4)
        return (1,) if hasattr(base, "filters") else (rank - 1,)

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        result = self.base_type(types)
        kept = self.kept_axes(self.base, result.rank)
        summed = result.with_shape(*(d if i in kept else 1 for i, d in enumerate(result.shape)))
        return (result,) * len(self.terms) + (summed,) * len(self.sums)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        (acc,) = self.base.run({name: arrays[name] for name in self.base.signature_inputs})
        known = {**arrays, ACC: acc}
        axes = tuple(i for i in range(acc.ndim) if i not in self.kept_axes(self.base, acc.ndim))
        with np.errstate(all="ignore"):
            made = [np.array(np.broadcast_to(evaluate(e, known), acc.shape), acc.dtype) for _, e in self.terms]
            sums = [
                np.broadcast_to(evaluate(e, known), acc.shape).sum(axes, keepdims=True, dtype=acc.dtype)
                for _, e in self.sums
            ]
        return (*made, *sums)

    def forward(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        results = self.run(dict(zip(self.signature_inputs, arrays, strict=True)))
        return results if len(results) > 1 else results[0]

    def cost(self, inputs: Mapping[str, TensorType], outputs: Sequence[TensorType]) -> tuple[Dim, Dim]:
        base_inputs = {name: inputs[name] for name in self.base.signature_inputs}
        return self.base.cost(base_inputs, (self.base_type(inputs),))

    def __str__(self) -> str:
        texts = [f"{output} = {expression}" for output, expression in self.terms]
        texts += [f"{output} = sum {expression}" for output, expression in self.sums]
        return f"{self.base} then [{'; '.join(texts)}]"
