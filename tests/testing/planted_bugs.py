"""Ops with one bug each, planted where ops really go wrong, and the four clean ones that they are made of.

`BUGS` says for each which check must find it. The clean ops are right: whatever a broken twin changes is the bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from flownet.errors import FlownetError
from flownet.expression import parse
from flownet.op import Elementwise, ElementwiseOp, Initial, Op, Sample

BUGS: dict[type[Op], str] = {}


def planted(check: str):
    """Enter a broken op, and the check that must find it."""

    def enter(cls: type[Op]) -> type[Op]:
        BUGS[cls] = check
        return cls

    return enter


# -- clean ops ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine(Op):
    """factor · x · scale + offset along the last axis, with a trained scale and an optional offset."""

    factor: float = 2.0

    name = "affine"

    def checked(self) -> None:
        if not np.isfinite(self.factor):
            raise FlownetError.of("bad-attribute", f"`factor` of `affine` must be finite, got {self.factor}")

    def infer(self, x, scale=None, offset=None):
        if not x.dtype.is_float or x.rank < 1:
            raise FlownetError.of("shape-mismatch", f"`affine` takes float32[..., d], got {x}")
        for parameter in (scale, offset):
            if parameter is not None and (parameter.shape != x.shape[-1:] or parameter.dtype != x.dtype):
                raise FlownetError.of(
                    "shape-mismatch", f"`affine` takes a parameter {x.dtype}[{x.shape[-1]}], got {parameter}"
                )
        return x

    def parameters(self, x):
        if x.rank < 1:
            raise FlownetError.of("shape-mismatch", f"`affine` takes float32[..., d], got {x}")
        return {"scale": Initial(x.with_shape(x.shape[-1]), "ones"), "offset": Initial(x.with_shape(x.shape[-1]))}

    def forward(self, x, scale, offset=None):
        y = x * scale * x.dtype.type(self.factor)
        return y if offset is None else y + offset

    def backward_x(self, scale, dy):
        return dy * scale * dy.dtype.type(self.factor)

    def backward_scale(self, x, dy):
        return self._over_rows(x * dy) * dy.dtype.type(self.factor)

    def backward_offset(self, dy):
        return self._over_rows(dy)

    def _over_rows(self, array):
        return array.reshape(-1, array.shape[-1]).sum(axis=0) if array.size else np.zeros(array.shape[-1], array.dtype)

    def flops(self, x):
        return 3 * x.size

    @classmethod
    def samples(cls):
        parameters = {"scale": [1.0, 10.0, 0.5], "offset": [0.0, 1.0, -1.0]}
        yield Sample(cls(), {"x": [[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]], **parameters}, {"y": [[2, 41, 2], [8, -99, 5]]})


@dataclass(frozen=True)
class Total(Op):
    """The sum along an axis."""

    axis: int = -1
    keepdims: bool = False

    name = "total"

    def infer(self, x):
        self._check(x)
        axis = self.axis % x.rank
        return x.with_shape(*x.shape[:axis], *((1,) if self.keepdims else ()), *x.shape[axis + 1 :])

    def _check(self, x):
        if not x.dtype.is_float or not -x.rank <= self.axis < x.rank:
            raise FlownetError.of("shape-mismatch", f"`total` works along axis {self.axis}, got {x}")

    def forward(self, x):
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, x, dy):
        dy = dy if self.keepdims else np.expand_dims(dy, self.axis)
        return np.broadcast_to(dy, x.shape)

    def flops(self, x):
        return x.size

    @classmethod
    def samples(cls):
        x = [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [64.0, 128.0, 256.0]]
        yield Sample(cls(), {"x": x}, {"y": [7.0, 56.0, 448.0]})
        yield Sample(cls(axis=0, keepdims=True), {"x": x}, {"y": [[73.0, 146.0, 292.0]]})


@dataclass(frozen=True)
class Delay(Op):
    """Each row moved by one place to the right, with 0 at its beginning."""

    name = "delay"

    def infer(self, x):
        if not x.dtype.is_float or x.rank < 1:
            raise FlownetError.of("shape-mismatch", f"`delay` takes float32[..., d], got {x}")
        return x

    def forward(self, x, *, out=None):
        out = np.empty_like(x, order="C") if out is None else out
        out[..., 1:] = x[..., :-1]
        out[..., :1] = 0
        return out

    def backward(self, dy):
        dx = np.zeros(dy.shape, dy.dtype)
        dx[..., :-1] = dy[..., 1:]
        return dx

    def flops(self):
        return 0

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}, {"y": [[0.0, 1.0, 2.0], [0.0, 4.0, 5.0]]})


@dataclass(frozen=True)
class Cube(ElementwiseOp):
    """y = x³"""

    name = "cube"
    expression = "x * x * x"
    derivative = {"x": "3 * x * x * dy"}

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, -2.0], [0.5, 3.0]]}, {"y": [[1.0, -8.0], [0.125, 27.0]]})


CLEAN = (Affine, Total, Delay, Cube)


# -- gradients ---------------------------------------------------------------------------------------------------------


@planted("gradient")
class WrongSign(Affine):
    """dx with a minus."""

    def backward_x(self, scale, dy):
        return -super().backward_x(scale, dy)


@planted("gradient")
class MissingFactor(Affine):
    """dscale without the factor."""

    def backward_scale(self, x, dy):
        return self._over_rows(x * dy)


@planted("gradient")
class FactorSlightlyOff(Affine):
    """dx off by a part in 100,000: less than float32's differences would show."""

    def backward_x(self, scale, dy):
        return super().backward_x(scale, dy) * dy.dtype.type(1.00001)


@planted("gradient")
@dataclass(frozen=True)
class GradientForgetsTheAttribute(Affine):
    """dx without the factor, which is 1 in every sample."""

    factor: float = 1.0

    def backward_x(self, x, dy, scale):
        return dy * scale

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0, 3.0]], "scale": [1.0, 2.0, -1.0], "offset": [0.0, 1.0, 0.0]},
                     {"y": [[1.0, 5.0, -3.0]]})  # fmt: skip


@planted("gradient")
@dataclass(frozen=True)
class DerivativeForgetsTheAttribute(ElementwiseOp):
    """k · x, whose derivative is the one for k = 2."""

    name = "times"
    expression = "k * x"
    derivative: ClassVar = {"x": "2 * dy"}

    k: float = 2.0

    def checked(self):
        if not np.isfinite(self.k):
            raise FlownetError.of("bad-attribute", f"`k` of `times` must be finite, got {self.k}")

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [1.0, 3.0]}, {"y": [2.0, 6.0]})


@planted("gradient")
@dataclass(frozen=True)
class ModeWithoutASample(Delay):
    """Moves the other way too, which no sample shows; the gradient knows nothing of it."""

    way: Literal["right", "left"] = "right"

    def forward(self, x):
        return super().forward(x) if self.way == "right" else super().backward(x)


@planted("attributes")
@dataclass(frozen=True)
class UncheckedWord(Delay):
    """A mode that is any text, looked up at the run."""

    way: str = "right"

    def forward(self, x):
        return {"right": super().forward}[self.way](x)


@planted("gradient")
class ForgottenBroadcast(Affine):
    """doffset of the shape of dy: not summed over the rows, to which the offset was stretched."""

    def backward_offset(self, dy):
        return dy.copy()


@planted("gradient")
class NoBiasGradient(Affine):
    """A gradient of zeros for the offset."""

    def backward_offset(self, dy):
        return np.zeros(dy.shape[-1], dy.dtype)


@planted("gradient")
@dataclass(frozen=True)
class ForgottenGradient(Total):
    """An input that nobody wrote the gradient of."""

    def forward(self, x, shift=None):
        y = super().forward(x)
        return y if shift is None else y + shift

    def infer(self, x, shift=None):
        if shift is not None and (shift.rank or shift.dtype != x.dtype):
            raise FlownetError.of("shape-mismatch", "`shift` is a number")
        return super().infer(x)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0], [3.0, 4.0]], "shift": 10.0}, {"y": [13.0, 17.0]})


@planted("gradient")
class RightForOneRow(Affine):
    """doffset of the first row alone."""

    def backward_offset(self, dy):
        return dy.reshape(-1, dy.shape[-1])[0] if dy.size else super().backward_offset(dy)


@planted("gradient")
class SinglePrecisionInside(Affine):
    """Computed in float32 whatever comes in."""

    def forward(self, x, scale, offset=None):
        return super().forward(x.astype(np.float32), scale.astype(np.float32), offset).astype(x.dtype)


@planted("gradient")
class WrongDerivative(Cube):
    """A derivative with one x too few."""

    derivative = {"x": "3 * x * dy"}


@planted("gradient")
class ShiftedTheWrongWay(Delay):
    """dx moved as x is, instead of back."""

    def backward(self, dy):
        return self.forward(dy)


@planted("gradient")
class RightForShortRows(Affine):
    """A block of 32 in backward: rows of the samples are shorter."""

    def backward_x(self, scale, dy):
        dx = super().backward_x(scale, dy).copy()
        dx[..., 32:] = 0
        return dx


@planted("gradient types")
class GradientInDoublePrecision(Affine):
    """A float64 number of NumPy's that turns a float32 gradient to float64."""

    def backward_x(self, scale, dy):
        return dy * scale * np.float64(self.factor)


# -- gradients that are right near the samples alone -------------------------------------------------------------------


@planted("gradient range")
class WrongBelowMinusTwenty(Cube):
    """Gives up far on the left."""

    derivative = {"x": "where(x < -20, 0, 3 * x * x * dy)"}


@planted("gradient range")
class WrongAboveAThousand(Cube):
    """Clips what it squares."""

    derivative = {"x": "3 * minimum(abs(x), 1000) * abs(x) * dy"}


@planted("gradient range")
class WrongNearZero(Cube):
    """Keeps away from zero, where nobody asked for it."""

    derivative = {"x": "3 * maximum(abs(x), 0.01) * abs(x) * dy"}


@planted("gradient range")
@dataclass(frozen=True)
class WrongInItsDomain(Cube):
    """A logarithm, defined above 0 alone, whose slope stops falling at 50."""

    name = "logarithm"
    expression = "log(x)"
    derivative = {"x": "dy / minimum(x, 50)"}

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [1.0, 2.718281828]}, {"y": [0.0, 1.0]})


@planted("gradient range")
@dataclass(frozen=True)
class WrongForSomePairs(Cube):
    """Of two operands, wrong for the second where the first is large."""

    name = "product"
    operands = ("a", "b")
    expression = "a * b"
    derivative = {"a": "b * dy", "b": "where(a > 300, 300, a) * dy"}

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"a": [1.0, -2.0], "b": [3.0, 5.0]}, {"y": [3.0, -10.0]})


@planted("gradient range")
@dataclass(frozen=True)
class WrongForLargeSums(Total):
    """A full op: the square of a sum, whose gradient is clipped at 100."""

    def forward(self, x):
        return super().forward(x) ** 2

    def backward(self, x, dy):
        return super().backward(x, dy * np.clip(2 * super().forward(x), -100, 100))

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0], [3.0, 4.0]]}, {"y": [9.0, 49.0]})


# -- values ------------------------------------------------------------------------------------------------------------


@planted("forward")
class WrongAxis(Total):
    """The other axis of a matrix that is square."""

    def forward(self, x):
        return x.sum(axis=-1 - (self.axis % x.ndim) if x.ndim == 2 else self.axis, keepdims=self.keepdims)


@planted("forward")
class MeanInsteadOfSum(Total):
    """Divided by the number of elements, its gradient too."""

    def forward(self, x):
        return x.mean(axis=self.axis, keepdims=self.keepdims) if x.size else super().forward(x)

    def backward(self, x, dy):
        return super().backward(x, dy) / dy.dtype.type(max(x.shape[self.axis], 1))


@planted("forward")
class WrapsIndex(Delay):
    """The last element of a row comes in at its beginning."""

    def forward(self, x, *, out=None):
        out = np.empty_like(x, order="C") if out is None else out
        np.copyto(out, np.roll(x, 1, axis=-1))
        return out

    def backward(self, dy):
        return np.roll(dy, -1, axis=-1)


@planted("forward")
class OffByOneAtTheBorder(Delay):
    """The last element is left as it was at the start: 0."""

    def forward(self, x, *, out=None):
        out = super().forward(x, out=out)
        out[..., -1:] = 0
        return out

    def backward(self, dy):
        dy = dy.copy()
        dy[..., -1:] = 0
        return super().backward(dy)


@planted("inference")
class WrongInferredShape(Total):
    """infer keeps the axis, forward does not."""

    def infer(self, x):
        self._check(x)
        axis = self.axis % x.rank
        return x.with_shape(*x.shape[:axis], 1, *x.shape[axis + 1 :])


@planted("attributes")
class ForgetsKeepdims(Total):
    """keepdims is an attribute that forward does not look at; the samples leave it alone."""

    def forward(self, x):
        return x.sum(axis=self.axis)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0], [3.0, 4.0]]}, {"y": [3.0, 7.0]})


@planted("inference")
class WrongElementType(Affine):
    """float64 out of float32."""

    def forward(self, x, scale, offset=None):
        return super().forward(x, scale, offset).astype(np.float64)


@planted("large values")
@dataclass(frozen=True)
class Overflows(Op):
    """Softmax without subtracting the maximum."""

    name = "overflows"

    def infer(self, x):
        if not x.dtype.is_float or not x.rank:
            raise FlownetError.of("shape-mismatch", f"`overflows` takes float32[..., d], got {x}")
        return x

    def forward(self, x):
        e = np.exp(x)
        return e / e.sum(axis=-1, keepdims=True)

    def backward(self, y, dy):
        return y * (dy - (y * dy).sum(axis=-1, keepdims=True))

    def flops(self, x):
        return 3 * x.size

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[0.0, 1.0986122886681098]]}, {"y": [[0.25, 0.75]]})


@planted("symbols")
class NeedsNumbers(Affine):
    """infer computes with sizes as if they were numbers."""

    def infer(self, x, scale=None, offset=None):
        super().infer(x, scale, offset)
        return x.with_shape(*(int(size) for size in x.shape))


# -- memory ------------------------------------------------------------------------------------------------------------


@planted("inputs unmodified")
class ModifiesItsInput(Affine):
    """Multiplies in place."""

    def forward(self, x, scale, offset=None):
        x *= x.dtype.type(self.factor)
        y = x * scale
        return y if offset is None else y + offset


@planted("inputs unmodified")
class ModifiesTheArrivingGradient(Delay):
    """Clears a part of dy, which another node may read."""

    def backward(self, dy):
        dy[..., :1] = 0
        return super().backward(dy)


@planted("inputs unmodified")
@dataclass(frozen=True)
class ModifiesItsOutput(Total):
    """backward scribbles on the output that was kept for it."""

    def backward(self, x, y, dy):
        y *= 0
        return super().backward(x, dy)


@planted("strided inputs")
class IgnoresStrides(Affine):
    """Takes the elements as they lie in memory."""

    def forward(self, x, scale, offset=None):
        return super().forward(x.ravel(order="K").reshape(x.shape), scale, offset)


@planted("strided inputs")
class ReadsBesideTheInput(Delay):
    """Reads one element past the end, and trusts that it is 0 times something."""

    def forward(self, x, *, out=None):
        out = super().forward(x, out=out)
        if x.flags.c_contiguous and x.size and x.base is not None:
            beside = np.lib.stride_tricks.as_strided(x.reshape(-1)[-1:], (2,), x.itemsize)[1:]
            out[..., 0] = beside * 0
        return out


@planted("output array")
class IgnoresOut(Delay):
    """Returns a new array instead of writing into the one it was given."""

    def forward(self, x, *, out=None):
        return super().forward(x)


@planted("output array")
class AddsToOut(Delay):
    """Trusts that `out` is full of zeros."""

    def forward(self, x, *, out=None):
        out = np.zeros(x.shape, x.dtype) if out is None else out
        out[..., 1:] += x[..., :-1]
        return out


_running = {"mean": 0.0}


@planted("no memory")
class KeepsState(Affine):
    """A running mean that is kept in Python, where neither checkpoints nor plans see it."""

    def forward(self, x, scale, offset=None):
        _running["mean"] = 0.9 * _running["mean"] + 0.1 * float(x.mean() if x.size else 0)
        return super().forward(x - x.dtype.type(_running["mean"]), scale, offset)


_kept: dict[str, Any] = {}


@planted("no memory")
@dataclass(frozen=True)
class KeepsForBackward(Total):
    """forward lays x by for backward, as PyTorch's contexts do; but the next batch may come between."""

    def forward(self, x):
        _kept["x"] = x.copy()
        return (x * x).sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, x, dy):
        return 2 * _kept["x"] * super().backward(x, dy)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0], [3.0, 4.0]]}, {"y": [5.0, 25.0]})


# -- chance ------------------------------------------------------------------------------------------------------------


@planted("determinism")
class GlobalRandom(Affine):
    """Noise from NumPy's global generator, too small for tolerances."""

    def forward(self, x, scale, offset=None):
        noise = 1e-6 * np.random.standard_normal(x.shape)
        return super().forward(x, scale, offset) * (1 + noise).astype(x.dtype)


@planted("determinism")
class Race(Total):
    """Adds in the order in which threads happen to come: an unseeded order stands for it."""

    def forward(self, x):
        order = np.random.default_rng().permutation(x.shape[self.axis])
        total = np.zeros_like(x.take(0, axis=self.axis)) if x.shape[self.axis] else x.sum(axis=self.axis)
        for place in order:
            total = total + x.take(place, axis=self.axis)
        return np.expand_dims(total, self.axis) if self.keepdims else total

    @classmethod
    def samples(cls):
        x = [[1e7, 0.3, -1e7, 0.7, 1e-3, 0.11, 3e6, -3e6] * 16]
        yield Sample(cls(), {"x": x}, note="no expectation: float32 gives another with each order")
        yield Sample(cls(), {"x": [[1.0, 2.0]]}, {"y": [3.0]})


# -- odd inputs and attributes -----------------------------------------------------------------------------------------


@planted("attributes")
class UncheckedAxis(Total):
    """An axis that the input has not ends in NumPy's AxisError."""

    def infer(self, x):
        shape = list(x.shape)
        shape[self.axis : self.axis + 1 or None] = [1] if self.keepdims else []
        if not x.dtype.is_float or not x.rank:
            raise FlownetError.of("shape-mismatch", f"`total` takes float32[..., d], got {x}")
        return x.with_shape(*shape)


@planted("attributes")
class TakesNaN(Affine):
    """A factor of NaN passes."""

    def checked(self) -> None:
        pass


@planted("serialisation")
@dataclass(frozen=True)
class WrongAnnotation(Affine):
    """An attribute said to be a whole number, which is none."""

    factor: int = 2.5  # type: ignore[assignment]

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0]], "scale": [1.0, 2.0], "offset": [0.0, 0.0]}, {"y": [[2.5, 10.0]]})


@planted("refused inputs")
class CrashesOnScalars(Affine):
    """infer and parameters look at the last axis without asking whether there is one."""

    def infer(self, x, scale=None, offset=None):
        return x.with_shape(*x.shape[:-1], x.shape[-1])

    def parameters(self, x):
        return {"scale": Initial(x.with_shape(x.shape[-1]), "ones")}


@planted("refused inputs")
class TakesWholeNumbers(Affine):
    """infer promises whole numbers for whole numbers, forward gives others."""

    def infer(self, x, scale=None, offset=None):
        if x.rank < 1:
            raise FlownetError.of("shape-mismatch", f"`affine` takes float32[..., d], got {x}")
        return x

    def forward(self, x, scale, offset=None):
        y = x * scale * self.factor
        return y if offset is None else y + offset


@planted("empty inputs")
class NeedsARow(Delay):
    """Looks at the first row."""

    def forward(self, x, *, out=None):
        x.max(axis=0)
        return super().forward(x, out=out)


@planted("size 1")
@dataclass(frozen=True)
class Squeezes(Total):
    """Drops every axis of size 1, not only the one that is summed."""

    def forward(self, x):
        return super().forward(x).squeeze() if x.shape[-1] == 1 else super().forward(x)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[[1.0, 2.0]] * 2] * 2}, {"y": [[3.0, 3.0], [3.0, 3.0]]})


@planted("optional inputs")
class NeedsTheOptional(Affine):
    """Crashes without the offset."""

    def forward(self, x, scale, offset=None):
        return super().forward(x, scale, offset.copy())


# -- declarations ------------------------------------------------------------------------------------------------------


@planted("documentation")
@dataclass(frozen=True)
class Undocumented(Cube):
    pass


@planted("samples")
class NoSamples(Cube):
    """Nothing to try it with."""

    @classmethod
    def samples(cls):
        return ()


@planted("forward")
class NoExpectation(Cube):
    """A sample that nobody worked out."""

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, -2.0]]})


@planted("cost")
class NoCost(Affine):
    """Nobody counted."""

    flops = Op.flops


@planted("inference")
@dataclass(frozen=True)
class ExpandsToAnotherShape(Op):
    """A composite op whose infer and expand disagree."""

    name = "expands_to_another_shape"

    def infer(self, x):
        return x.with_shape(*x.shape[:-1]) if x.rank > 1 else x

    def expand(self, g, x):
        return g.add(Elementwise((("y", parse("x + x")),), ("x",), (("x", parse("2 * dy")),)), x)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0]]}, {"y": [[2.0, 4.0]]})


# -- several outputs, composites ---------------------------------------------------------------------------------------


@planted("forward")
@dataclass(frozen=True)
class TwoOutputsInOneArray(Op):
    """The sum and the difference of x and its mirror image, in one array: the second overwrites the first."""

    name = "two_outputs"
    outputs = ("total", "rest")

    def infer(self, x):
        if not x.dtype.is_float or x.rank < 1:
            raise FlownetError.of("shape-mismatch", f"`two_outputs` takes float32[..., d], got {x}")
        return x, x

    def forward(self, x):
        y = np.empty_like(x)
        total = np.add(x, x[..., ::-1], out=y)
        rest = np.subtract(x, x[..., ::-1], out=y)
        return total, rest

    def backward(self, dtotal, drest):
        return dtotal + dtotal[..., ::-1] + drest - drest[..., ::-1]

    def flops(self, x):
        return 2 * x.size

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0, 4.0]]}, {"total": [[5.0, 4.0, 5.0]], "rest": [[-3.0, 0.0, 3.0]]})


@planted("gradient")
@dataclass(frozen=True)
class CompositeWithWrongGradient(Op):
    """A composite op whose elementwise node has the derivative of another function."""

    name = "composite"

    def infer(self, x):
        if not x.dtype.is_float:
            raise FlownetError.of("dtype-mismatch", f"`composite` takes floating-point numbers, got {x}")
        return x

    def expand(self, g, x):
        return g.add(Elementwise((("y", parse("x * x")),), ("x",), (("x", parse("x * dy")),)), x)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0]]}, {"y": [[1.0, 4.0]]})


@planted("cost")
class CountsLessThanNothing(Affine):
    """A count of operations that went below zero."""

    def flops(self, x):
        return x.size - 100


@planted("samples")
class SampleItCannotTake(Affine):
    """A sample of a shape that the op refuses."""

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0]], "scale": [1.0, 2.0, 3.0]}, {"y": [[2.0, 8.0]]})
