"""conv_transpose2d: the way back of a convolution, from small images to large ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Initial, Op, Sample
from flownet.ops.convolution.columns import Columns
from flownet.ops.convolution.depthwise import Depthwise
from flownet.ops.convolution.taps import Taps
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.ops.windows import check_at_least, pair, require_image
from flownet.types import Dim, TensorType

__all__ = ["ConvTranspose2d"]


@dataclass(frozen=True)
class ConvTranspose2d(Op):
    """The transposed convolution ("deconvolution"): each pixel of x puts a filter, scaled by itself, onto the output, and these
    add up: y[n, k, i·stride + r·dilation − padding, …] += x[n, c, i, j] · w[c, k, r, s], plus b[k].

    It is the gradient of `conv2d` with respect to its image.

    channels:       of the output
    kernel:         height and width of a filter, one number for both or [height, width]; so for all that follow
    stride:         the distance between the places of two neighbouring pixels: by how much the image grows
    padding:        what is cut off on each side
    output_padding: what is added below and on the right, to choose among the sizes that a stride could have come from
    groups:         channels are cut into so many groups, and each makes its own part of the output
    dilation:       the distance between two taps of a filter
    bias:           whether b is added

    Shapes: x float32[n, c, h, w], weight float32[c, channels / groups, kh, kw] (as PyTorch and ONNX keep it), bias
    float32[channels] -> float32[n, channels, h', w'] with h' = (h − 1)·stride − 2·padding + dilation·(kh − 1) + output_padding + 1.
    Parameters: weight starts by `xavier_uniform`, bias by `zeros`.
    Gradient: dx is the convolution of dy by w, dw the correlation of dy with x, db the sum of dy over n, h and w.
    Source: Zeiler, Krishnan, Taylor, Fergus 2010, "Deconvolutional networks"; Noh, Hong, Han 2015.
    """

    channels: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    output_padding: int | tuple[int, int] = 0
    groups: int = 1
    dilation: int | tuple[int, int] = 1
    bias: bool = True

    name = "conv_transpose2d"
    category = "layer"
    channel_axis = 1

    def checked(self) -> None:
        numbers = {name: getattr(self, name) for name in ("channels", "kernel", "stride", "dilation", "groups")}
        check_at_least(self.name, 1, numbers)
        check_at_least(self.name, 0, {"padding": self.padding, "output_padding": self.output_padding})
        if self.channels % self.groups:
            raise bad_attribute(self.name, "groups", f"a divisor of `channels`, which is {self.channels}", self.groups)
        sides = zip(pair(self.output_padding), pair(self.stride), pair(self.dilation), strict=True)
        if any(more >= max(stride, dilation) for more, stride, dilation in sides):
            raise bad_attribute(self.name, "output_padding", "smaller than `stride` or `dilation`", self.output_padding)

    def infer(self, x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        shape = self._weight_shape(x)
        require_float(self.name, x=x, weight=weight, bias=bias)
        if weight is not None and weight.shape != shape:
            raise mismatch(self.name, f"a weight {x.with_shape(*shape)} for the input {x}", weight)
        if bias is not None and bias.shape != (self.channels,):
            raise mismatch(self.name, f"a bias {x.dtype}[{self.channels}]", bias)
        return x.with_shape(x.shape[0], self.channels, *self._size(x.shape[2:], x))

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        shape = self._weight_shape(x)
        area, (down, right) = shape[2] * shape[3], pair(self.stride)
        # with a stride of 2 a pixel of the output is reached by every fourth tap
        fan_in = max(1, shape[0] // self.groups * area // (down * right))
        weight = Initial(x.with_shape(*shape), "xavier_uniform", fan_in, shape[1] * area)
        return {"weight": weight, "bias": Initial(x.with_shape(self.channels))} if self.bias else {"weight": weight}

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        algorithm = self._algorithm(x)
        y = np.empty((len(x), self.channels, *algorithm.taps.size), x.dtype) if out is None else out
        algorithm.input_gradient(np.ascontiguousarray(x), weight, y)
        if bias is not None:
            y += bias[:, None, None]
        return y

    def backward_x(self, x: np.ndarray, weight: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dx = np.empty(x.shape, dy.dtype)
        self._algorithm(x).convolve(np.ascontiguousarray(dy), weight, None, dx)
        return dx

    def backward_weight(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return self._algorithm(x).weight_gradient(np.ascontiguousarray(dy), np.ascontiguousarray(x))

    def backward_bias(self, dy: np.ndarray) -> np.ndarray:
        return dy.sum(axis=(0, 2, 3))

    def multiply_adds(self, x: TensorType | None, weight: TensorType | None) -> Dim:
        if x is None or weight is None:  # asked about db, which is a sum
            return 0
        return x.size * weight.shape[1] * weight.shape[2] * weight.shape[3]

    def weight_channels(self, weight: TensorType) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        c, per_group, *kernel = weight.shape
        return (self.groups, c // self.groups, per_group, *kernel), (self.groups, 1, per_group, 1, 1)

    def _size(self, size: tuple[Dim, ...], x: object) -> tuple[Dim, Dim]:
        """(height, width) of the output."""
        kernel, stride, padding, dilation = map(pair, (self.kernel, self.stride, self.padding, self.dilation))
        more = pair(self.output_padding)
        high, wide = (
            (size[i] - 1) * stride[i] + (dilation[i] * (kernel[i] - 1) + more[i] + 1 - 2 * padding[i]) for i in (0, 1)
        )
        if any(isinstance(dim, int) and dim < 1 for dim in (high, wide)):
            note = f"it would have the height and width [{high}, {wide}]"
            raise FlownetError.of(
                "shape-mismatch", f"`{self.name}` leaves nothing of {x}", note, help="take less padding"
            )
        return high, wide

    def _weight_shape(self, x: TensorType) -> tuple[int, int, int, int]:
        require_image(self.name, x)
        c = x.shape[1]
        if not isinstance(c, int):
            note = f"a filter for each channel is learned, and `{c}` is not known"
            raise mismatch(self.name, f"{x.dtype}[n, c, h, w] with a number for c", x, note)
        if c % self.groups:
            note = f"{self.groups} groups cannot share {c} channels"
            raise mismatch(self.name, f"channels that `groups` divides, which is {self.groups}", x, note)
        return c, self.channels // self.groups, *pair(self.kernel)

    def _algorithm(self, x: np.ndarray) -> Columns | Depthwise:
        return _algorithm(self, x.shape[1], x.shape[2:])

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x, weight = [[[[1.0, 2.0], [3.0, 4.0]]]], [[[[1.0, 10.0], [100.0, 1000.0]]]]
        yield Sample(cls(1, 2, stride=2), {"x": x, "weight": weight, "bias": [0.5]},
                     {"y": [[[[1.5, 10.5, 2.5, 20.5], [100.5, 1000.5, 200.5, 2000.5],
                              [3.5, 30.5, 4.5, 40.5], [300.5, 3000.5, 400.5, 4000.5]]]]}, note="twice as large")  # fmt: skip
        yield Sample(cls(1, 2, bias=False), {"x": x, "weight": weight},
                     {"y": [[[[1.0, 12.0, 20.0], [103.0, 1234.0, 2040.0], [300.0, 3400.0, 4000.0]]]]},
                     note="the filters overlap")  # fmt: skip
        yield Sample(cls(1, 3, stride=2, padding=1, output_padding=1, bias=False),
                     {"x": x, "weight": [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]},
                     {"y": [[[[4.0, 6.0, 8.0, 4.0], [8.0, 10.0, 12.0, 6.0],
                              [12.0, 14.0, 16.0, 8.0], [6.0, 7.0, 8.0, 4.0]]]]}, note="bilinear up-sampling, times four")  # fmt: skip
        yield Sample(cls(2, (1, 2), groups=2, dilation=(1, 2), bias=False),
                     {"x": [[[[1.0]], [[2.0]]]], "weight": [[[[3.0, 4.0]]], [[[5.0, 6.0]]]]},
                     {"y": [[[[3.0, 0.0, 4.0]], [[10.0, 0.0, 12.0]]]]}, note="depthwise")  # fmt: skip


@lru_cache(maxsize=1024)
def _algorithm(op: ConvTranspose2d, channels: int, size: tuple[int, int]) -> Columns | Depthwise:
    """The convolution from the output to x that this is the transpose of."""
    before = pair(op.padding)
    high, wide = op._size(size, size)
    padding = ((before[0], before[0]), (before[1], before[1]))
    taps = Taps((int(high), int(wide)), size, pair(op.kernel), pair(op.stride), pair(op.dilation), padding)  # type: ignore[arg-type]
    if op.groups == op.channels > 1:
        return Depthwise(taps, op.channels, channels // op.channels)
    return Columns(taps, op.channels, channels, op.groups)
