"""Convolution of images and its two gradients.

`blocked` says that images are blocked by channel (`flownet.kernels.layout`); filters never are. `planar` says that the
image x is not, although the other is: a first layer's one or three channels would fill a block with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.kernels.layout import block, unblock
from flownet.op import Op
from flownet.types import Dim, TensorType

__all__ = ["Convolution2D", "ConvolutionInputGradient", "ConvolutionWeightGradient"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class _Convolution(Op):
    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    channels: int = 0
    filters: int = 0
    size: Pair = (0, 0)
    blocked: int = 0
    planar: bool = False

    category = "kernel"

    @property
    def output(self) -> Pair:
        """(height, width) of y."""
        axes = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        high, wide = ((n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, pad, d in axes)
        return high, wide

    def _x_shape(self, n: Dim) -> tuple[Dim, ...]:
        if self.blocked and not self.planar:
            return (n, -(-self.channels // self.blocked), *self.size, self.blocked)
        return (n, self.channels, *self.size)

    def _y_shape(self, n: Dim) -> tuple[Dim, ...]:
        if self.blocked:
            return (n, -(-self.filters // self.blocked), *self.output, self.blocked)
        return (n, self.filters, *self.output)

    @property
    def _w_shape(self) -> tuple[int, ...]:
        return (self.filters, self.channels // self.groups, *self.kernel)

    def _plain_x(self, x: np.ndarray) -> np.ndarray:
        return unblock(x, self.channels) if self.blocked and not self.planar else x

    def _plain_y(self, y: np.ndarray) -> np.ndarray:
        return unblock(y, self.filters) if self.blocked else y

    def _taps(self, padded: np.ndarray):
        """(r, s, the part of the padded image that the tap sees)."""
        high, wide = self.output
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                top, left = r * self.dilation[0], s * self.dilation[1]
                rows = slice(top, top + (high - 1) * self.stride[0] + 1, self.stride[0])
                columns = slice(left, left + (wide - 1) * self.stride[1] + 1, self.stride[1])
                yield r, s, padded[..., rows, columns]

    def _groups(self, image: np.ndarray) -> np.ndarray:
        n, c, *rest = image.shape
        return image.reshape(n, self.groups, c // self.groups, *rest)

    def _work(self, n: Dim) -> Dim:
        high, wide = self.output
        return n * self.filters * high * wide * (self.channels // self.groups) * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Convolution2D(_Convolution):
    """`y[n, k] = Σ_{c, r, s} w[k, c, r, s] · x[n, c, i·stride + r·dilation − padding, …]`.

    Shapes: x [n, channels, *size], w [filters, channels / groups, *kernel] -> [n, filters, *output].
    """

    name = "convolution"

    def infer(self, x: TensorType, w: TensorType) -> TensorType:
        assert x.shape == self._x_shape(x.shape[0]), (str(self), str(x), str(w))
        assert w.shape == self._w_shape, (str(self), str(x), str(w))
        return x.with_shape(*self._y_shape(x.shape[0]))

    def forward(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        padded = self._groups(np.pad(self._plain_x(x), ((0, 0), (0, 0), *self.padding)))
        grouped = w.reshape(self.groups, self.filters // self.groups, *w.shape[1:])
        y = np.zeros((len(x), self.groups, self.filters // self.groups, *self.output), x.dtype)
        for r, s, seen in self._taps(padded):
            y += np.einsum("gkc,ngchw->ngkhw", grouped[..., r, s], seen, optimize=True)
        y = y.reshape(len(x), self.filters, *self.output)
        return block(y, self.blocked) if self.blocked else y

    def multiply_adds(self, x: TensorType) -> Dim:
        return self._work(x.shape[0])


@dataclass(frozen=True)
class ConvolutionInputGradient(_Convolution):
    """The gradient of the image, from dy and w: what a transposed convolution computes."""

    name = "convolution_dx"

    def infer(self, dy: TensorType, w: TensorType) -> TensorType:
        assert dy.shape == self._y_shape(dy.shape[0]), (str(self), str(dy), str(w))
        assert w.shape == self._w_shape, (str(self), str(dy), str(w))
        return dy.with_shape(*self._x_shape(dy.shape[0]))

    def forward(self, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
        dy = self._groups(self._plain_y(dy))
        grouped = w.reshape(self.groups, self.filters // self.groups, *w.shape[1:])
        (top, bottom), (left, right) = self.padding
        high, wide = self.size
        padded = np.zeros(
            (len(dy), self.groups, self.channels // self.groups, high + top + bottom, wide + left + right), dy.dtype
        )
        for r, s, seen in self._taps(padded):
            seen += np.einsum("gkc,ngkhw->ngchw", grouped[..., r, s], dy, optimize=True)
        dx = padded[..., top : top + high, left : left + wide].reshape(len(dy), self.channels, high, wide)
        return block(dx, self.blocked) if self.blocked and not self.planar else np.ascontiguousarray(dx)

    def multiply_adds(self, dy: TensorType) -> Dim:
        return self._work(dy.shape[0])


@dataclass(frozen=True)
class ConvolutionWeightGradient(_Convolution):
    """The gradient of the filters, from x and dy."""

    name = "convolution_dw"

    def infer(self, x: TensorType, dy: TensorType) -> TensorType:
        assert x.shape == self._x_shape(x.shape[0]), (str(self), str(x), str(dy))
        assert dy.shape == self._y_shape(x.shape[0]), (str(self), str(x), str(dy))
        return x.with_shape(*self._w_shape)

    def forward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        padded = self._groups(np.pad(self._plain_x(x), ((0, 0), (0, 0), *self.padding)))
        dy = self._groups(self._plain_y(dy))
        dw = np.zeros((self.groups, self.filters // self.groups, *self._w_shape[1:]), x.dtype)
        for r, s, seen in self._taps(padded):
            dw[..., r, s] = np.einsum("ngchw,ngkhw->gkc", seen, dy, optimize=True)
        return dw.reshape(self._w_shape)

    def multiply_adds(self, x: TensorType) -> Dim:
        return self._work(x.shape[0])
