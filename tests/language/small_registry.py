"""A registry with a few small ops of every kind, so that these tests depend on nothing but the contract of an op."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal
from unittest import mock

import numpy as np

from flownet import initialisers
from flownet.data.augmentation import Augmentation
from flownet.errors import FlownetError
from flownet.hookspecs import hookimpl
from flownet.op import ElementwiseOp, Initial, Op
from flownet.registry import Registry
from flownet.types import DType, TensorType


@dataclass(frozen=True)
class Dense(Op):
    """y = x·W + b"""

    name = "dense"
    units: int
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 2:
            raise FlownetError.of(
                "shape-mismatch", f"`dense` takes float32[n, d], got {x}", help="put `- flatten` above it"
            )
        return TensorType(x.dtype, (x.shape[0], self.units))

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        if x.rank != 2:
            self.infer(x)
        found = {
            "weight": Initial(TensorType(x.dtype, (x.shape[1], self.units)), "xavier_uniform", x.shape[1], self.units)
        }
        return found | ({"bias": Initial(TensorType(x.dtype, (self.units,)))} if self.bias else {})

    def forward(self, x, weight, bias=None):
        return x @ weight + (0 if bias is None else bias)

    def checked(self) -> None:
        if self.units < 1:
            raise FlownetError.of("bad-attribute", f"`units` has to be 1 or more, got {self.units}")


@dataclass(frozen=True)
class Conv2d(Op):
    """A convolution."""

    name = "conv2d"
    channels: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 4:
            raise FlownetError.of("shape-mismatch", f"`conv2d` takes float32[n, c, h, w], got {x}")
        n, _, h, w = x.shape
        kernel = self.kernel if isinstance(self.kernel, int) else self.kernel[0]
        if self.padding == "same":
            return TensorType(x.dtype, (n, self.channels, h, w))
        return TensorType(x.dtype, (n, self.channels, h - kernel + 1, w - kernel + 1))

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        if x.rank != 4:
            self.infer(x)
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        return {"weight": Initial(TensorType(x.dtype, (self.channels, x.shape[1], *kernel)), "he_normal")}

    def forward(self, x, weight):
        raise NotImplementedError


@dataclass(frozen=True)
class Relu(ElementwiseOp):
    """max(x, 0)"""

    name = "relu"
    category = "activation"
    expression = "maximum(x, 0)"
    derivative = {"x": "where(x > 0, dy, 0)"}


@dataclass(frozen=True)
class LeakyRelu(ElementwiseOp):
    """x above zero, slope·x below"""

    name = "leaky_relu"
    category = "activation"
    expression = "where(x > 0, x, slope * x)"
    derivative = {"x": "where(x > 0, dy, slope * dy)"}
    slope: float = 0.01


@dataclass(frozen=True)
class Add(ElementwiseOp):
    """a + b"""

    name = "add"
    operands = ("a", "b")
    expression = "a + b"
    derivative = {"a": "dy", "b": "dy"}


@dataclass(frozen=True)
class Flatten(Op):
    """All but the first axis as one."""

    name = "flatten"

    def infer(self, x: TensorType) -> TensorType:
        size = 1
        for dim in x.shape[1:]:
            size = size * dim
        return TensorType(x.dtype, (x.shape[0], size))

    def forward(self, x):
        return x.reshape(len(x), -1)


@dataclass(frozen=True)
class MaxPool(Op):
    """The largest of each window, and where it stood."""

    name = "max_pool"
    outputs = ("y", "indices")
    kernel: int = 2

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        n, c, h, w = x.shape
        y = TensorType(x.dtype, (n, c, h // self.kernel, w // self.kernel))
        return y, y.with_dtype(DType.int64)

    def forward(self, x):
        raise NotImplementedError


@dataclass(frozen=True)
class MaxUnpool(Op):
    """The inverse of a pooling."""

    name = "max_unpool"
    kernel: int = 2

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        n, c, h, w = x.shape
        return TensorType(x.dtype, (n, c, h * self.kernel, w * self.kernel))

    def forward(self, x, indices):
        raise NotImplementedError


@dataclass(frozen=True)
class Concat(Op):
    """Its inputs one behind the other."""

    name = "concat"
    axis: int = 1

    def infer(self, *x: TensorType) -> TensorType:
        shape = list(x[0].shape)
        shape[self.axis] = sum((t.shape[self.axis] for t in x), start=0)
        return TensorType(x[0].dtype, tuple(shape))

    def forward(self, *x):
        return np.concatenate(x, self.axis)


@dataclass(frozen=True)
class CrossEntropy(Op):
    """Softmax and the negative logarithm of the target's probability."""

    name = "cross_entropy"
    category = "loss"

    def infer(self, logits: TensorType, target: TensorType) -> TensorType:
        if not target.dtype.is_integer:
            raise FlownetError.of("dtype-mismatch", f"`cross_entropy` takes class indices as target, got {target}")
        if target.shape != (logits.shape[0], *logits.shape[2:]):
            raise FlownetError.of("shape-mismatch", f"`cross_entropy` cannot compare {logits} with {target}")
        return TensorType(logits.dtype, ())

    def forward(self, logits, target):
        raise NotImplementedError


@dataclass(frozen=True)
class SquaredError(Op):
    """½(y − y*)²"""

    name = "squared_error"
    category = "loss"

    def infer(self, y: TensorType, target: TensorType) -> TensorType:
        if y != target:
            raise FlownetError.of("shape-mismatch", f"`squared_error` cannot compare {y} with {target}")
        return TensorType(y.dtype, ())

    def forward(self, y, target):
        raise NotImplementedError


@dataclass(frozen=True)
class Accuracy(Op):
    """The part of the examples whose largest logit is the target's."""

    name = "accuracy"
    category = "metric"

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        return TensorType(DType.float32, (2,))

    def forward(self, x, target):
        raise NotImplementedError


@dataclass(frozen=True)
class TopK(Accuracy):
    """The part of the examples whose target is among the k largest."""

    name = "top_k_accuracy"
    k: int = 5


@dataclass(frozen=True)
class Sgd(Op):
    """θ ← θ − η·g"""

    name = "sgd"
    category = "optimizer"
    learning_rate: float = 0.1
    momentum: float = 0.0

    def forward(self, parameter, gradient, learning_rate):
        raise NotImplementedError


@dataclass(frozen=True)
class Adam(Sgd):
    """Adam."""

    name = "adam"


@dataclass(frozen=True)
class Cosine:
    """Half a cosine down to `end`."""

    name: ClassVar[str] = "cosine"
    end: float = 0.0

    def rate(self, step, steps, steps_per_epoch, base):
        raise NotImplementedError


@dataclass(frozen=True)
class Field:
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Shift(Augmentation):
    """Moves the image."""

    name = "shift"
    shorthand = "pixels"
    pixels: int = 1


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Mirrors the image."""

    name = "flip"


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Small images with a class each."""

    name: ClassVar[str] = "toy"
    size: int = 8
    augment: tuple[Augmentation, ...] = ()
    limit: int | None = None

    def read(self, root):
        raise NotImplementedError

    def open(self, root=None):
        raise NotImplementedError

    def declared_fields(self):
        return {
            "image": Field(DType.float32, (1, self.size, self.size)),
            "label": Field(DType.int32, ()),
            "mask": Field(DType.int32, (self.size, self.size)),
            "wide": Field(DType.float32, (1, self.size, self.size + 1)),
        }


@dataclass(frozen=True, kw_only=True)
class Absent(Toy):
    """Data that are not on this machine."""

    name = "absent"

    def declared_fields(self):
        raise FlownetError.of("data-missing", "dataset `absent`: no `images`", help="`flownet data add absent FOLDER`")


class _Plugin:
    @staticmethod
    @hookimpl
    def flownet_ops():
        return [
            Dense, Conv2d, Relu, LeakyRelu, Add, Flatten, MaxPool, MaxUnpool, Concat, CrossEntropy, SquaredError, Accuracy, TopK,
            Sgd, Adam,
        ]  # fmt: skip

    @staticmethod
    @hookimpl
    def flownet_initialisers():
        return initialisers.BUILTIN.values()

    @staticmethod
    @hookimpl
    def flownet_schedules():
        return [Cosine]

    @staticmethod
    @hookimpl
    def flownet_datasets():
        return [Toy, Absent]

    @staticmethod
    @hookimpl
    def flownet_augmentations():
        return [Shift, Flip]


def small_registry() -> Registry:
    with mock.patch("flownet.registry._BUILTIN_MODULES", ()):
        registry = Registry(entry_points=False)
    registry.register(_Plugin, "small", "1.2")
    return registry
