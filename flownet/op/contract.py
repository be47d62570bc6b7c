"""`Op`: a frozen dataclass whose fields are attributes, whose `forward` has the inputs as arguments, and whose `backward`
has as arguments exactly the values that must be kept for it.

What an author writes, simplest kind first:

- an *elementwise* op (`ElementwiseOp`): an expression and its derivatives; it is fused on every device;
- a *composite* op: `expand`, which builds it of other ops; differentiated and run as those;
- a *full* op: `infer`, `forward`, `backward` (or `backward_<input>`, one method an input, where each gradient costs much
  and some may not be needed) in NumPy, and optionally `opencl` and `opencl_backward`, which build it of kernels.

The base class reads the rest off the signatures: names of inputs, which are optional (`bias=None`) or variadic (`*x`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flownet.errors import FlownetError
from flownet.initialisers import BUILTIN, Initialiser, parameter_generator
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Initial", "Op", "Sample"]


_PIECE = 1 << 15  # numbers that are drawn at once


@dataclass(frozen=True)
class Initial:
    """A parameter or a state that an op declares: its type, and how it starts.

    start:        an initialiser, its name, or an array that broadcasts to the shape
    fan_in/out:   what initialisers scale by (see `flownet.initialisers`)
    is_parameter: trained by gradients, else a state that the op itself updates
    trainable:    False for a parameter that optimisers leave alone
    shared_name:  one state for the whole graph under this name (`rng`), instead of one a node
    """

    type: TensorType
    start: Initialiser | str | Any = "zeros"
    fan_in: Dim = 1
    fan_out: Dim = 1
    is_parameter: bool = True
    trainable: bool = True
    shared_name: str = ""

    def started_by(self, start: Initialiser | str | None) -> Initial:
        """The same with another initialiser, or itself for None."""
        return self if start is None else replace(self, start=start)

    def array(self, seed: int, name: str) -> np.ndarray:
        """The starting value of the parameter called `name`: the same for the same seed and name, always."""
        shape = tuple(int(dim) for dim in self.type.shape)  # type: ignore[arg-type]
        start = BUILTIN[self.start]() if isinstance(self.start, str) else self.start
        if not isinstance(start, Initialiser):
            return np.array(np.broadcast_to(start, shape), self.type.dtype.numpy, order="C")
        generator, fans = parameter_generator(seed, name), (int(self.fan_in), int(self.fan_out))
        if not vars(type(start)).get("by_element"):  # not inherited: a subclass may draw in another way
            return np.array(start.sample(generator, shape, *fans), self.type.dtype.numpy, order="C")
        values = np.empty(shape, self.type.dtype.numpy)
        flat = values.reshape(-1)
        for begin in range(
            0, flat.size, _PIECE
        ):  # float64 of a whole large parameter would take twice its memory besides
            piece = flat[begin : begin + _PIECE]
            piece[...] = start.sample(generator, piece.shape, *fans)
        return values


@dataclass(frozen=True)
class Sample:
    """An example of an op in use: documentation prints it, tests run it.

    outputs: literal expectations by output name, for as many outputs as the author worked out by hand
    note:    what the example shows
    grad:    False where the derivative does not exist at the sample (a kink), so that differences cannot check it
    """

    op: Op
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    grad: bool = True


@dataclass(frozen=True)
class _Signature:
    inputs: tuple[str, ...]
    optional: frozenset[str]
    variadic: str | None
    takes_out: bool


@cache
def _signature(function: Any) -> _Signature:
    inputs, optional, variadic, takes_out = [], set(), None, False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            continue  # the base class's: it lets subclasses name their arguments, and means nothing
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = parameter.name
        elif parameter.kind is parameter.KEYWORD_ONLY:
            takes_out |= parameter.name == "out"
        else:
            inputs.append(parameter.name)
            if parameter.default is not parameter.empty:
                optional.add(parameter.name)
    return _Signature(tuple(inputs), frozenset(optional), variadic, takes_out)


def wanted(function: Any, available: Mapping[str, Any]) -> list[Any]:
    """The arguments of the bound method `function`, by name out of `available`; None for what is not there."""
    signature = _signature(function.__func__)
    if signature.variadic:
        variadic = signature.variadic
        found = [available[f"{variadic}{i}"] for i in range(len(available)) if f"{variadic}{i}" in available]
        return [available.get(name) for name in signature.inputs] + found
    return [available.get(name) for name in signature.inputs]


@dataclass(frozen=True)
class Op:
    """Base class of every op. Subclasses are frozen dataclasses; `name` is what a graph file writes.

    name:           how graph files spell it
    outputs:        names of the outputs, the main one first
    category:       "layer", "activation", "loss", "metric", "optimizer", … : the chapter in the op reference
    differentiable: the inputs that `backward` returns gradients for, in that order; None means all of floating point
    updates:        state or parameter -> the output that is its next value
    is_view:        the output is the input's memory under another shape: nothing runs
    class_numbers:  input of class numbers -> input that has a score for each class along axis 1; it fails on other numbers
    channel_axis:   of an op that is linear in `weight` and adds `bias`, if it has one: the axis of y along which they have numbers
                    of their own (see `weight_channels`); the compiler folds a batch norm behind it into them
    """

    name: ClassVar[str] = ""
    outputs: ClassVar[tuple[str, ...]] = ("y",)
    category: ClassVar[str] = "layer"
    differentiable: ClassVar[tuple[str, ...] | None] = None
    updates: ClassVar[Mapping[str, str]] = {}
    is_view: ClassVar[bool] = False
    class_numbers: ClassVar[Mapping[str, str]] = {}
    channel_axis: ClassVar[int | None] = None

    # -- what an author writes -------------------------------------------------------------------------------------------

    def infer(self, *types: Any, **named: Any) -> Any:
        """The types of the outputs. Its arguments are any of `forward`'s, by name. Raises FlownetError on a mismatch."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def forward(self, *arrays: Any, **named: Any) -> Any:
        """The outputs, in NumPy: this is the meaning of the op. It must not change its inputs.

        It may take a keyword-only `out` (an array, or a tuple of them when there are several outputs) to write into.
        """
        raise NotImplementedError(f"{type(self).__name__}.forward")

    # `backward(self, …kept…)` or `backward_<input>(self, …kept…)`: see `Gradient`.

    def parameters(self, *types: Any, **named: Any) -> Mapping[str, Initial]:
        """The parameters that it trains. Its arguments are any of `forward`'s, by name."""
        return {}

    def states(self, *types: Any, **named: Any) -> Mapping[str, Initial]:
        """The states that it carries from run to run (`is_parameter=False`). Arguments as for `parameters`."""
        return {}

    # `expand(self, g, …inputs…)` of a composite op: builds it by `g.add(op, …)`, returns the output value or values.

    def inference(self) -> Op:
        """The op that takes its place outside of training (dropout: identity); it has the same first output."""
        return self

    def multiply_adds(self, *types: Any, **named: Any) -> Dim:
        """Multiply-adds of one forward run, as papers count them. Its arguments are any of inputs and outputs, by name."""
        return 0

    def flops(self, *types: Any, **named: Any) -> Dim:
        """Floating-point operations of one forward run, a multiply-add being two. Arguments as for `multiply_adds`."""
        return NotImplemented  # counted from multiply_adds, else one for each element of the first output

    def weight_channels(self, weight: TensorType) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        """The shape under which `weight` is seen, and that under which one number a channel of y multiplies it.

        Asked of ops with `channel_axis`; the weight's first axis is that of the channels unless an op says otherwise.
        """
        return weight.shape, (weight.shape[0], *(1,) * (weight.rank - 1))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        """Examples that documentation shows and tests run."""
        return ()

    def checked(self) -> None:
        """Check the attributes' values (types are checked already). Raises FlownetError naming the attribute."""

    # -- what the compiler asks --------------------------------------------------------------------------------------------

    @property
    def signature_inputs(self) -> tuple[str, ...]:
        """The names of the inputs, parameters and states included; of a variadic op none."""
        return _signature(self._meaning).inputs

    @property
    def optional_inputs(self) -> frozenset[str]:
        return _signature(self._meaning).optional

    @property
    def variadic(self) -> str | None:
        """The name that the inputs of a variadic op count from (`x` for `x0`, `x1`, …), or None."""
        return _signature(self._meaning).variadic

    @property
    def takes_out(self) -> bool:
        """Whether `forward` can write into arrays that are given to it."""
        return _signature(type(self).forward).takes_out

    @property
    def is_composite(self) -> bool:
        return hasattr(self, "expand")

    @property
    def _meaning(self) -> Any:
        """The function that names the inputs: `expand` of a composite op (after its builder), else `forward`."""
        return _without_builder(type(self).expand) if self.is_composite else type(self).forward  # type: ignore[attr-defined]

    def arguments(self, positional: Sequence[Any]) -> dict[str, Any]:
        """Positional inputs by name."""
        if self.variadic:
            return {f"{self.variadic}{i}": value for i, value in enumerate(positional)}
        names = self.signature_inputs
        if len(positional) > len(names):
            raise FlownetError.of(
                "surplus-input", f"`{self.name}` takes {len(names)} inputs ({', '.join(names)}), got {len(positional)}"
            )
        return dict(zip(names, positional, strict=False))

    def in_order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs in the order of the signature. Raises FlownetError for unknown and missing ones."""
        if self.variadic:
            return dict(given)
        names = self.signature_inputs
        if unknown := [name for name in given if name not in names]:
            raise FlownetError.of(
                "surplus-input", f"`{self.name}` has no input `{unknown[0]}`", help=f"its inputs are {', '.join(names)}"
            )
        if missing := [name for name in names if name not in given and name not in self.optional_inputs]:
            raise FlownetError.of(
                "missing-input",
                f"`{self.name}` lacks its input `{missing[0]}`",
                help=f"its inputs are {', '.join(names)}",
            )
        return {name: given[name] for name in names if name in given}

    def declared(self, types: Mapping[str, TensorType]) -> dict[str, Initial]:
        """The parameters and states for inputs of these types."""
        return {**self._call(self.parameters, types), **self._call(self.states, types)}

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        """The types of the outputs for inputs of these types."""
        result = self._call(self.infer, types)
        found = result if isinstance(result, tuple) else (result,)
        if len(found) != len(self.outputs) or not all(isinstance(type_, TensorType) for type_ in found):
            raise self._inferred_wrongly(found)
        return found

    def _inferred_wrongly(self, found: tuple[Any, ...]) -> FlownetError:
        code = type(self).infer.__code__
        outputs = ", ".join(f"`{name}`" for name in self.outputs)
        given = ", ".join(str(type_) if isinstance(type_, TensorType) else repr(type_) for type_ in found) or "nothing"
        return FlownetError.of(
            "op-failed", f"`infer` of `{self.name}` gives {given}, where the op has the output{'s' if len(self.outputs) > 1 else ''} {outputs}",
            f"it is at {os.path.basename(code.co_filename)}:{code.co_firstlineno}",
            help="return a `TensorType` for each of `outputs`, several as a tuple; it is for the op's author to mend",
        )  # fmt: skip

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs by NumPy for inputs by name."""
        result = self.forward(*wanted(self.forward, arrays))
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    def bound(self, arrays: Mapping[str, np.ndarray]) -> Callable[[], Any]:
        """`run` on these arrays, whatever is in them at that time, with all that can be decided beforehand decided.

        It returns the output, or a tuple or list of the outputs: a step of a plan calls it again and again.
        """
        if type(self).run is not Op.run:  # the op names its inputs in its own way
            return partial(self.run, arrays)
        return partial(self.forward, *wanted(self.forward, arrays))

    def cost(self, inputs: Mapping[str, TensorType], outputs: Sequence[TensorType]) -> tuple[Dim, Dim]:
        """(floating-point operations, multiply-adds) of one run."""
        types = {**inputs, **dict(zip(self.outputs, outputs, strict=True))}
        multiply_adds = self._call(self.multiply_adds, types)
        flops = self._call(self.flops, types)
        if flops is NotImplemented:
            flops = 2 * multiply_adds if multiply_adds != 0 else 0 if self.is_view else outputs[0].size
        return flops, multiply_adds

    def _call(self, method: Any, types: Mapping[str, TensorType]) -> Any:
        return method(*wanted(method, types))

    def placed(self, node: str) -> Op:
        """The op as it stands in the node of that name; random ops derive their stream of numbers from it."""
        return self

    def bind(self, sizes: Mapping[str, int]) -> Op:
        """The op with numbers for symbols, for those ops whose attributes hold types."""
        return self

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        """Add the nodes that compute the gradients of the inputs `wrt`; the values by input.

        inputs, outputs: the node's values by name
        douts:           the gradients that arrive, by output; an output that nothing depends on is absent
        The default makes `Gradient` nodes of `backward` and `backward_<input>`; composite and elementwise ops never
        come here or write their own.
        """
        from flownet.op.gradient import gradient_nodes

        return gradient_nodes(self, g, inputs, outputs, douts, wrt)

    def __str__(self) -> str:
        attributes = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
        return f"{self.name}[{attributes}]" if attributes else self.name


@cache
def _without_builder(expand: Any) -> Any:
    """`expand(self, g, x)` as if it were `forward(self, x)`: only the signature is ever looked at."""

    def meaning(self: Any) -> None: ...

    parameters = list(inspect.signature(expand).parameters.values())
    meaning.__signature__ = inspect.Signature([parameters[0], *parameters[2:]])  # type: ignore[attr-defined]
    return meaning
