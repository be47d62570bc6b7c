"""local_response_norm: channels held down by their neighbours, as in AlexNet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Op, Sample
from flownet.kernels import Template
from flownet.types import Dim, TensorType

__all__ = ["LocalResponseNorm"]


@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """Each channel divided by a power of its neighbourhood's energy: y = x / s^beta, s = k + alpha/size · Σ x².

    size:  how many channels the sum runs over, itself in the middle; an odd number, since ONNX and PyTorch take different
           neighbours for an even one
    alpha: divided by `size`, as in ONNX and PyTorch; Krizhevsky's α = 1e-4 over n = 5 is `alpha: 5e-4` here
    beta:  the exponent
    k:     keeps the divisor away from zero

    Shapes: float32[n, c, …] -> the same. Channels beyond the border count as zeros.
    Gradient: dx = dy / s^beta − 2 · alpha/size · beta · x · Σ dy · y / s, the sum over the same neighbours.
    Source: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", 3.3.
    """

    name = "local_response_norm"
    category = "layer"

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def checked(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise FlownetError.of(
                "bad-attribute", f"`size` of `{self.name}` must be odd and at least 1, got {self.size}"
            )
        for attribute, least in (("alpha", 0), ("beta", 0), ("k", 1e-30)):
            value = getattr(self, attribute)
            if not least <= value < math.inf:
                must = "above 0" if least else "at least 0"
                raise FlownetError.of(
                    "bad-attribute", f"`{attribute}` of `{self.name}` must be finite and {must}, got {value}"
                )

    def infer(self, x: TensorType) -> TensorType:
        if x.rank < 2 or not x.dtype.is_float:
            raise FlownetError.of("shape-mismatch", f"`{self.name}` takes float32[n, c, …], got {x}")
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self._energy(x) ** -self.beta

    def backward(self, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        energy = self._energy(x)
        slope = x.dtype.type(2 * self.alpha / self.size * self.beta)
        return dy * energy**-self.beta - slope * x * self._around(dy * y / energy)

    def flops(self, x: TensorType) -> Dim:
        return x.size * (2 * self.size + 3)

    def _energy(self, x: np.ndarray) -> np.ndarray:
        return x.dtype.type(self.k) + x.dtype.type(self.alpha / self.size) * self._around(x * x)

    def _around(self, x: np.ndarray) -> np.ndarray:
        """The sum over the neighbouring channels."""
        half = self.size // 2
        total = x.copy()
        for distance in range(1, min(half, x.shape[1] - 1) + 1):
            total[:, distance:] += x[:, :-distance]
            total[:, :-distance] += x[:, distance:]
        return total

    # -- OpenCL: one work-item an element ----------------------------------------------------------------------------

    def opencl(self, g, x):
        return g.add(self._kernel("local_response_norm", ("x",), x.type, _FORWARD, self.forward), x)

    def opencl_backward(self, g, x, y, dy):
        inputs = ("x", "y", "dy")
        return g.add(self._kernel("local_response_norm_gradient", inputs, x.type, _BACKWARD, self.backward), x, y, dy)

    def _kernel(self, title, inputs, type, source, meaning):
        inside = 1  # elements behind the channel axis
        for size in type.shape[2:]:
            inside *= size
        constants = (
            ("channels", type.shape[1]), ("inside", inside), ("half", self.size // 2), ("scale", self.alpha / self.size),
            ("beta", self.beta), ("k", self.k),
        )  # fmt: skip
        return Template(
            title,
            inputs,
            (("out", type),),
            source,
            type.size,
            constants,
            _ENERGY,
            meaning=meaning,
            work=self.flops(type),
        )

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # size 3, alpha 3, beta 1, k 1: each is divided by 1 + the squares of itself and its neighbours
        worked_out = [[[1 / 6], [2 / 15], [3 / 14]]]
        yield Sample(cls(3, alpha=3.0, beta=1.0), {"x": [[[1.0], [2.0], [3.0]]]}, {"y": worked_out})
        yield Sample(
            cls(5, alpha=1e-4, beta=0.75, k=2.0),
            {"x": [[1.0, -2.0, 30.0, 4.0, -5.0, 6.0, 100.0]]},
            note="AlexNet's figures",
        )
        yield Sample(
            cls(1, alpha=3.0, beta=0.5), {"x": [[[1.0, 2.0]]]}, {"y": [[[1 / 2, 2 / 13**0.5]]]}, note="no neighbours"
        )


_ENERGY = """
float lrn_energy(__global const float* x, int i, int channels, int inside, int half_size, float scale, float k) {
    const int c = (i / inside) % channels;
    float total = 0.0f;
    for (int d = -min(half_size, c); d <= min(half_size, channels - 1 - c); d++) total += x[i + d * inside] * x[i + d * inside];
    return k + scale * total;
}
"""

_FORWARD = """
    out[i] = x[i] * pow(lrn_energy(x, i, $channels, $inside, $half, $scale, $k), -$beta);
"""

_BACKWARD = """
    const int c = (i / $inside) % $channels;
    float along = 0.0f;
    for (int d = -min($half, c); d <= min($half, $channels - 1 - c); d++) {
        const int j = i + d * $inside;
        along += dy[j] * y[j] / lrn_energy(x, j, $channels, $inside, $half, $scale, $k);
    }
    const float energy = lrn_energy(x, i, $channels, $inside, $half, $scale, $k);
    out[i] = dy[i] * pow(energy, -$beta) - 2.0f * $scale * $beta * x[i] * along;
"""
