"""maxout: the largest of every k channels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Op, Sample
from flownet.kernels import Template
from flownet.types import Dim, TensorType

__all__ = ["Maxout"]


@dataclass(frozen=True)
class Maxout(Op):
    """The largest of every `pieces` channels that follow each other: y_c = max over i of x_(c·pieces + i).

    pieces: how many channels become one; the layer before it has so many times as many

    Shapes: float32[n, c · pieces, …] -> float32[n, c, …].
    Gradient: dy goes to the channel that was largest, the first one of equals.
    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, "Maxout networks".
    """

    name = "maxout"
    category = "activation"

    pieces: int = 2

    def checked(self) -> None:
        if self.pieces < 1:
            raise FlownetError.of("bad-attribute", f"`pieces` of `maxout` must be at least 1, got {self.pieces}")

    def infer(self, x: TensorType) -> TensorType:
        if x.rank < 2 or not x.dtype.is_float:
            raise FlownetError.of("shape-mismatch", f"`maxout` takes float32[n, c, …], got {x}")
        channels = x.shape[1]
        if not isinstance(channels, int) or channels % self.pieces:
            raise FlownetError.of(
                "shape-mismatch", f"`maxout` makes one channel of every {self.pieces}, got {x}",
                f"{channels} channels are no multiple of {self.pieces}", help="change the channels of the layer above it",
            )  # fmt: skip
        return x.with_shape(x.shape[0], channels // self.pieces, *x.shape[2:])

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self._split(x).max(axis=2)

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        split = self._split(x)
        dx = np.zeros_like(split)
        np.put_along_axis(dx, split.argmax(axis=2, keepdims=True), dy[:, :, None], axis=2)
        return dx.reshape(x.shape)

    def flops(self, x: TensorType) -> Dim:
        return x.size

    def _split(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(x.shape[0], x.shape[1] // self.pieces, self.pieces, *x.shape[2:])

    # -- OpenCL: one work-item an element of y -----------------------------------------------------------------------

    def opencl(self, g, x):
        y = self.infer(x.type)
        return g.add(self._kernel("maxout", ("x",), y, y, _FORWARD, self.forward), x)

    def opencl_backward(self, g, x, dy):
        return g.add(self._kernel("maxout_gradient", ("x", "dy"), x.type, dy.type, _BACKWARD, self.backward), x, dy)

    def _kernel(self, title, inputs, result, y, source, meaning):
        inside = 1  # elements behind the channel axis
        for size in y.shape[2:]:
            inside *= size
        constants = (("k", self.pieces), ("inside", inside))
        return Template(
            title, inputs, (("out", result),), source, y.size, constants, meaning=meaning, work=y.size * self.pieces
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(2), {"x": [[1.0, 3.0, -2.0, -5.0], [0.5, -0.5, 4.0, 6.0]]}, {"y": [[3.0, -2.0], [0.5, 6.0]]})
        yield Sample(
            cls(3),
            {"x": [[[1.0, -1.0], [2.0, -3.0], [0.0, -2.0]]]},
            {"y": [[[2.0, -1.0]]]},
            note="each position by itself",
        )
        yield Sample(
            cls(2), {"x": [[7.0, 7.0]]}, {"y": [[7.0]]}, note="equals: the first one gets the gradient", grad=False
        )


# element i of y stands at n·c·inside + place, its k candidates `inside` apart
_FORWARD = """
    const int first = (i / $inside) * $k * $inside + i % $inside;
    float largest = x[first];
    for (int j = 1; j < $k; j++) largest = fmax(largest, x[first + j * $inside]);
    out[i] = largest;
"""

_BACKWARD = """
    const int first = (i / $inside) * $k * $inside + i % $inside;
    int at = 0;
    for (int j = 1; j < $k; j++) if (x[first + j * $inside] > x[first + at * $inside]) at = j;
    for (int j = 0; j < $k; j++) out[first + j * $inside] = j == at ? dy[i] : 0.0f;
"""
