"""conv2d: a convolution of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from flownet.op import Initial, Op, Sample
from flownet.ops.convolution.columns import Columns
from flownet.ops.convolution.depthwise import Depthwise
from flownet.ops.convolution.taps import Taps
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.ops.windows import check_at_least, check_padding, padding_of, pair, require_image, steps
from flownet.types import Dim, TensorType

__all__ = ["Conv2d"]


@dataclass(frozen=True)
class Conv2d(Op):
    """The convolution of images by learned filters: y[n, k, i, j] = b[k] + Σ w[k, c, r, s] · x[n, c, i·stride + r·dilation − padding, …].

    channels: of the output: the number of filters
    kernel:   height and width of a filter, one number for both or [height, width]; so for all that follow
    stride:   how far the filter moves
    padding:  zeros around the image; `valid` is none; `same` as many as give ⌈size / stride⌉, an odd one behind
    dilation: the distance between two taps of a filter
    groups:   channels are cut into so many groups, and each filter sees one; `groups` = channels of x is a depthwise convolution
    bias:     whether b is added; a normalisation behind it makes b idle

    As everywhere in deep learning, filters are not mirrored: it is a cross-correlation.
    Shapes: x float32[n, c, h, w], weight float32[channels, c / groups, kh, kw] (as PyTorch and ONNX keep it), bias float32[channels]
    -> float32[n, channels, h', w'] with h' = ⌊(h + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1.
    Parameters: weight starts by `xavier_uniform`, bias by `zeros`.
    Gradient: dx is the transposed convolution of dy by w, dw the correlation of x with dy, db the sum of dy over n, h and w; each
    is computed only when it is needed. Kept: x and w.
    Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition"; groups: Krizhevsky et al. 2012.
    """

    channels: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    bias: bool = True

    name = "conv2d"
    category = "layer"
    channel_axis = 1

    def checked(self) -> None:
        numbers = {name: getattr(self, name) for name in ("channels", "kernel", "stride", "dilation", "groups")}
        check_at_least(self.name, 1, numbers)
        check_padding(self.name, self.padding)
        if self.channels % self.groups:
            raise bad_attribute(self.name, "groups", f"a divisor of `channels`, which is {self.channels}", self.groups)

    def infer(self, x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        shape = self._weight_shape(x)
        require_float(self.name, x=x, weight=weight, bias=bias)
        if weight is not None and weight.shape != shape:
            raise mismatch(self.name, f"a weight {x.with_shape(*shape)} for the input {x}", weight)
        if bias is not None and bias.shape != (self.channels,):
            raise mismatch(self.name, f"a bias {x.dtype}[{self.channels}]", bias)
        kernel, stride, dilation = pair(self.kernel), pair(self.stride), pair(self.dilation)
        h, w = (steps(self.name, x, axis, self.padding, kernel[axis], stride[axis], dilation[axis]) for axis in (0, 1))
        return x.with_shape(x.shape[0], self.channels, h, w)

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        shape = self._weight_shape(x)
        area = shape[2] * shape[3]
        weight = Initial(x.with_shape(*shape), "xavier_uniform", shape[1] * area, self.channels // self.groups * area)
        return {"weight": weight, "bias": Initial(x.with_shape(self.channels))} if self.bias else {"weight": weight}

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        algorithm = self._algorithm(x.shape)
        y = np.empty((len(x), self.channels, *algorithm.taps.output), x.dtype) if out is None else out
        algorithm.convolve(np.ascontiguousarray(x), weight, bias, y)
        return y

    def backward_x(self, x: np.ndarray, weight: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dx = np.empty(x.shape, dy.dtype)
        self._algorithm(x.shape).input_gradient(np.ascontiguousarray(dy), weight, dx)
        return dx

    def backward_weight(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return self._algorithm(x.shape).weight_gradient(np.ascontiguousarray(x), dy)

    def backward_bias(self, dy: np.ndarray) -> np.ndarray:
        return dy.sum(axis=(0, 2, 3))

    def multiply_adds(self, weight: TensorType | None, y: TensorType) -> Dim:
        if weight is None:  # asked about db, which is a sum
            return 0
        return y.size * weight.shape[1] * weight.shape[2] * weight.shape[3]

    def _weight_shape(self, x: TensorType) -> tuple[int, int, int, int]:
        require_image(self.name, x)
        c = x.shape[1]
        if not isinstance(c, int):
            note = f"a filter has as many weights as there are channels, and `{c}` is not known"
            raise mismatch(self.name, f"{x.dtype}[n, c, h, w] with a number for c", x, note)
        if c % self.groups:
            note = f"{self.groups} groups cannot share {c} channels"
            raise mismatch(self.name, f"channels that `groups` divides, which is {self.groups}", x, note)
        return self.channels, c // self.groups, *pair(self.kernel)

    def _algorithm(self, shape: tuple[int, ...]) -> Columns | Depthwise:
        return _algorithm(self, shape[1], shape[2:])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]
        weight = [[[[1.0, 0.0], [0.0, -1.0]]], [[[1.0, 1.0], [1.0, 1.0]]]]
        yield Sample(cls(2, 2), {"x": x, "weight": weight, "bias": [0.5, 0.0]},
                     {"y": [[[[-3.5, -3.5], [-3.5, -3.5]], [[12.0, 16.0], [24.0, 28.0]]]]}, note="a difference and a sum")  # fmt: skip
        yield Sample(cls(1, 3, stride=2, padding=1, bias=False), {"x": x, "weight": [[[[1.0] * 3] * 3]]},
                     {"y": [[[[12.0, 16.0], [24.0, 28.0]]]]}, note="zeros around the image")  # fmt: skip
        yield Sample(cls(1, 2, padding="same", bias=False), {"x": x, "weight": [[[[1.0, 10.0], [0.0, 100.0]]]]},
                     {"y": [[[[521.0, 632.0, 3.0], [854.0, 965.0, 6.0], [87.0, 98.0, 9.0]]]]},
                     note="`same`: the odd zeros stand behind")  # fmt: skip
        yield Sample(cls(2, (1, 2), dilation=(1, 2), groups=2, bias=False),
                     {"x": [[[[1.0, 2.0, 3.0, 4.0]], [[5.0, 6.0, 7.0, 8.0]]]], "weight": [[[[1.0, 2.0]]], [[[-1.0, 1.0]]]]},
                     {"y": [[[[7.0, 10.0]], [[2.0, 2.0]]]]}, note="depthwise, with a hole in the filter")  # fmt: skip
        # the sum of two channels each, on the phases of an image of odd width
        image = [[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]], [[0.0, 1.0, 0.0]], [[2.0, 2.0, 3.0]]]]
        weight = [[[[1.0]], [[2.0]]], [[[-1.0]], [[1.0]]]]
        yield Sample(cls(2, 1, stride=(1, 2), groups=2), {"x": image, "weight": weight, "bias": [0.0, 1.0]},
                     {"y": [[[[9.0, 15.0]], [[3.0, 4.0]]]]}, note="two groups")  # fmt: skip


@lru_cache(maxsize=1024)
def _algorithm(op: Conv2d, channels: int, size: tuple[int, int]) -> Columns | Depthwise:
    kernel, stride, dilation = pair(op.kernel), pair(op.stride), pair(op.dilation)
    padding = tuple(
        padding_of(op.padding, size[axis], kernel[axis], stride[axis], dilation[axis], axis) for axis in (0, 1)
    )
    high, wide = (
        (size[axis] + sum(padding[axis]) - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        for axis in (0, 1)
    )
    taps = Taps(size, (high, wide), kernel, stride, dilation, padding)  # type: ignore[arg-type]
    if op.groups == channels > 1:
        return Depthwise(taps, channels, op.channels // channels)
    return Columns(taps, channels, op.channels, op.groups)
