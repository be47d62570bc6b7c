"""Elementwise ops: an expression forward, an expression for each derivative, and nothing else to write.

`Elementwise` is the same thing without a class: what gradients, optimisers' updates and fusion make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flownet.errors import FlownetError, near_names
from flownet.expression import FUNCTIONS, Call, Expression, Name, Number, evaluate, names, parse, substitute
from flownet.op.contract import Op
from flownet.types import Dim, DType, Symbolic, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Elementwise", "ElementwiseOp", "SumTo", "broadcast"]


def broadcast(op: str, shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """The common shape by NumPy's rules: sizes of 1 stretch. Raises FlownetError (`shape-mismatch`)."""
    rank = max(map(len, shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, dim in enumerate(shape, rank - len(shape)):
            if dim == 1 or dim == result[axis]:
                continue
            if result[axis] != 1:
                texts = " and ".join(f"[{', '.join(map(str, s))}]" for s in shapes)
                raise FlownetError.of(
                    "shape-mismatch", f"`{op}` cannot combine the shapes {texts}: {result[axis]} is not {dim}",
                    help="sizes must be equal, or 1, counted from the last axis",
                )  # fmt: skip
            result[axis] = dim
    return tuple(result)


class _Elementwise(Op):
    """What the two kinds share: everything follows from `expressions`, `operands` and the derivatives."""

    if TYPE_CHECKING:  # of the class for a named op, a field of `Elementwise`, computed for optimisers

        @property
        def operands(self) -> tuple[str, ...]: ...

    def expressions(self) -> Mapping[str, Expression]:
        """Output name -> expression over the operands, attributes put in as numbers."""
        raise NotImplementedError

    def derivatives(self) -> Mapping[str, Expression]:
        """Operand -> its gradient's expression over operands, outputs and `d<output>`."""
        return {}

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

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        floats = {type_.dtype for type_ in types.values() if type_.dtype.is_float}
        if len(floats) > 1:
            texts = ", ".join(f"`{name}`: {type_}" for name, type_ in types.items())
            raise FlownetError.of("dtype-mismatch", f"`{self.name}` takes operands of one element type, got {texts}")
        dtype = floats.pop() if floats else DType.float32
        shape = broadcast(self.name, [type_.shape for type_ in types.values()])
        return (TensorType(dtype, shape),) * len(self.outputs)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        dtypes = [array.dtype for array in arrays.values() if array.dtype.kind == "f"]
        dtype = dtypes[0] if dtypes else np.dtype(np.float32)
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        with np.errstate(all="ignore"):  # `where` computes both branches, and takes the one that is defined
            return tuple(
                np.array(np.broadcast_to(np.asarray(evaluate(expression, arrays)), shape), dtype)
                for expression in self.expressions().values()
            )

    def forward(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        results = self.run(dict(zip(self.operands, arrays, strict=True)))
        return results if len(results) > 1 else results[0]

    def cost(self, inputs: Mapping[str, TensorType], outputs: Sequence[TensorType]) -> tuple[Dim, Dim]:
        return sum(map(_count, self.expressions().values())) * outputs[0].size, 0

    def declared(self, types: Mapping[str, TensorType]) -> dict:
        return {**self._call(self.parameters, types), **self._call(self.states, types)}

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        derivatives = self.derivatives()
        available = {**inputs, **outputs, **{f"d{name}": value for name, value in douts.items()}}
        zero = {f"d{name}": Number(0.0) for name in self.outputs if name not in douts}
        gradients = {}
        for operand in wrt:
            if operand not in derivatives:
                continue
            expression = substitute(derivatives[operand], zero)
            kept = names(expression)
            if not any(name.startswith("d") and name[1:] in self.outputs for name in kept):
                continue  # a derivative that is zero
            if isinstance(expression, Name):
                value = available[kept[0]]  # `dy` itself: no node
            else:
                operation = Elementwise((("y", expression),), kept)
                value = g.add(operation, **{name: available[name] for name in kept})
            if value.type.shape != inputs[operand].type.shape:
                value = g.add(SumTo(inputs[operand].type.shape), value)
            gradients[operand] = value
        return gradients


def _count(expression: Expression) -> int:
    if not isinstance(expression, Call):
        return 0
    return FUNCTIONS[expression.function].flops + sum(map(_count, expression.arguments))


class ElementwiseOp(_Elementwise):
    """Base class of named elementwise ops.

    operands:    names of the inputs; `("x",)` unless said otherwise
    expression:  the text of the expression, or a text for each output in order; attributes go by their names, and an
                 expression may use the outputs written above it
    derivative:  for each operand the text of its gradient, over operands, outputs and `dy` (`d<output>`)

    >>> @dataclass(frozen=True)
    ... class Cube(ElementwiseOp):
    ...     '''y = x³'''
    ...     name = "cube"
    ...     expression = "x * x * x"
    ...     derivative = {"x": "3 * x * x * dy"}
    >>> Cube().forward(np.array([1.0, 2.0]))
    array([1., 8.])
    """

    operands: ClassVar[tuple[str, ...]] = ("x",)  # type: ignore[misc]
    expression: ClassVar[str | Mapping[str, str]]
    derivative: ClassVar[Mapping[str, str]] = {}

    def _attributes(self) -> dict[str, Expression]:
        return {
            f.name: Number(float(getattr(self, f.name)))
            for f in fields(self)
            if isinstance(getattr(self, f.name), (bool, int, float)) and f.name not in self.operands
        }

    def expressions(self) -> Mapping[str, Expression]:
        texts = {self.outputs[0]: self.expression} if isinstance(self.expression, str) else self.expression
        known: dict[str, Expression] = self._attributes()
        result = {}
        for output, text in texts.items():
            result[output] = known[output] = self._known_names(text, substitute(parse(text), known), self.operands)
        return result

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        for name, type_ in types.items():
            if type_.dtype is DType.bool:
                raise FlownetError.of("dtype-mismatch", f"`{self.name}` takes numbers as `{name}`, got {type_}")
        self.expressions()  # what is wrong with the texts is said here, before anything runs
        self.derivatives()
        return super().result_types(types)

    def derivatives(self) -> Mapping[str, Expression]:
        attributes = self._attributes()
        if unknown := set(self.derivative) - set(self.operands):
            raise FlownetError.of(
                "bad-expression", f"`{self.name}` has a derivative for `{min(unknown)}`, which is none of its operands",
                help=near_names(min(unknown), self.operands) or f"operands: {', '.join(self.operands)}",
            )  # fmt: skip
        known = (*self.operands, *self.outputs, *(f"d{name}" for name in self.outputs))
        return {
            operand: self._known_names(text, substitute(parse(text), attributes), known)
            for operand, text in self.derivative.items()
        }

    def _known_names(self, text: str, expression: Expression, known: Sequence[str]) -> Expression:
        """The expression, when all of its names are known."""
        for name in names(expression):
            if name in known:
                continue
            if hasattr(self, name) and name in {f.name for f in fields(self)}:
                value = getattr(self, name)
                raise FlownetError.of(
                    "bad-expression",
                    f"`{text}` of `{self.name}` takes numbers, and the attribute `{name}` is {value!r}",
                )
            attributes = self._attributes()
            raise FlownetError.of(
                "bad-expression", f"`{text}` of `{self.name}` has the name `{name}`, which stands for nothing",
                help=near_names(name, [*known, *attributes]) or f"known: {', '.join([*known, *attributes])}",
            )  # fmt: skip
        return expression


@dataclass(frozen=True)
class Elementwise(_Elementwise):
    """Expressions over operands that broadcast: `terms` are (output name, expression), in order.

    `gradients` are (operand, expression of its gradient), where a composite op makes one that is differentiated later.
    """

    terms: tuple[tuple[str, Expression], ...]
    operands: tuple[str, ...]
    gradients: tuple[tuple[str, Expression], ...] = field(default=(), compare=False)

    name = "elementwise"
    category = "kernel"

    @cached_property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(output for output, _ in self.terms)

    def expressions(self) -> Mapping[str, Expression]:
        return dict(self.terms)

    def derivatives(self) -> Mapping[str, Expression]:
        return dict(self.gradients)

    def __str__(self) -> str:
        return f"elementwise[{'; '.join(f'{output} = {expression}' for output, expression in self.terms)}]"


@dataclass(frozen=True)
class SumTo(Op):
    """The sum over the axes along which `shape` was stretched: the gradient of broadcasting. Same shape: a copy."""

    shape: tuple[Dim, ...]

    name = "sum_to"
    category = "kernel"

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(x.dtype, self.shape)

    def axes(self, rank: int, shape: Sequence[Dim]) -> tuple[int, ...]:
        """The axes of the larger shape that are summed."""
        lead = rank - len(self.shape)
        stretched = [lead + i for i, dim in enumerate(self.shape) if dim == 1 and shape[lead + i] != 1]
        return (*range(lead), *stretched)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.sum(axis=self.axes(x.ndim, x.shape), keepdims=True, dtype=x.dtype).reshape(self.shape)

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        lead = (1,) * (x.ndim - dy.ndim)
        return np.array(np.broadcast_to(dy.reshape(lead + dy.shape), x.shape))

    def flops(self, x: TensorType) -> Dim:
        return x.size

    def bind(self, sizes: Mapping[str, int]) -> SumTo:
        return SumTo(tuple(dim.bind(sizes) if isinstance(dim, Symbolic) else dim for dim in self.shape))
