"""layer_norm: each example brought to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet.op import Initial, Op, Sample
from flownet.ops.normalisation.channels import check_epsilon
from flownet.ops.requirements import mismatch, require_float, resolve_axis
from flownet.types import Dim, TensorType

__all__ = ["LayerNorm"]


@dataclass(frozen=True)
class LayerNorm(Op):
    """Each example with mean 0 and variance 1 over its last axes, then scaled and shifted: y = scale · (x − μ) / √(σ² + ε) + bias.

    axis:    the first of the axes that μ and σ² are taken over; from there to the last one
    epsilon: ε, which keeps the quotient finite

    Shapes: x float32[n, t, d] with axis -1; scale, bias float32[d] -> y like x. Beside it come mean and inverse_std =
    1 / √(σ² + ε), float32[n, t], which are kept for the gradient.
    Parameters: scale starts by `ones`, bias by `zeros`.
    Gradient: with x̂ = (x − μ) · inverse_std and g = dy · scale: dx = inverse_std · (g − mean(g) − x̂ · mean(g·x̂)), dscale = Σ dy·x̂
    and dbias = Σ dy over the examples. Kept: x.
    Numerical care: the variance is the mean of squared distances from the mean, computed in a second run over x.
    Source: Ba, Kiros, Hinton 2016, "Layer normalization". `axis` is ONNX's.
    """

    axis: int = -1
    epsilon: float = 1e-5

    name = "layer_norm"
    category = "layer"
    outputs = ("y", "mean", "inverse_std")

    def checked(self) -> None:
        check_epsilon(self.name, self.epsilon)

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        wanted = self._type(x)
        require_float(self.name, x=x, scale=scale, bias=bias)
        for name, type_ in (("scale", scale), ("bias", bias)):
            if type_ != wanted:
                raise mismatch(self.name, f"{wanted} as `{name}` for the input {x}", type_)
        statistic = x.with_shape(*x.shape[: x.rank - wanted.rank])
        return x, statistic, statistic

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        return {"scale": Initial(self._type(x), "ones"), "bias": Initial(self._type(x))}

    def forward(
        self, x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, out: tuple[np.ndarray, ...] | None = None
    ) -> tuple[np.ndarray, ...]:
        y = np.empty_like(x, order="C") if out is None else out[0]
        rows, size = _rows(x, scale), x.dtype.type(max(scale.size, 1))
        flat = y.reshape(rows.shape, copy=False)
        mean = rows.sum(1, dtype=x.dtype) / size
        np.subtract(rows, mean[:, None], out=flat)
        inverse_std = 1 / np.sqrt(np.einsum("nd,nd->n", flat, flat) / size + x.dtype.type(self.epsilon))
        flat *= inverse_std[:, None]
        flat *= scale.reshape(-1)
        flat += bias.reshape(-1)
        shape = x.shape[: x.ndim - scale.ndim]
        if out is None:
            return y, mean.reshape(shape), inverse_std.reshape(shape)
        np.copyto(out[1], mean.reshape(shape))
        np.copyto(out[2], inverse_std.reshape(shape))
        return out

    def backward(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        mean: np.ndarray,
        inverse_std: np.ndarray,
        dy: np.ndarray | None = None,
        dmean: np.ndarray | None = None,
        dinverse_std: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        normal = (_rows(x, scale) - mean.reshape(-1, 1)) * inverse_std.reshape(-1, 1)
        arriving = _rows(np.zeros_like(x) if dy is None else dy, scale)
        dscale = np.einsum("nd,nd->d", arriving, normal)
        dbias = arriving.sum(0, dtype=x.dtype)
        size = x.dtype.type(max(scale.size, 1))
        dx = arriving * scale.reshape(-1)
        # what arrives at the statistics, if anything does, has the form of the two means
        product = np.einsum("nd,nd->n", dx, normal)
        total = dx.sum(1, dtype=x.dtype)
        if dmean is not None:
            total -= dmean.reshape(-1) / inverse_std.reshape(-1)
        if dinverse_std is not None:
            product += dinverse_std.reshape(-1) * inverse_std.reshape(-1)
        dx -= (total / size)[:, None]
        normal *= (product / size)[:, None]
        dx -= normal
        dx *= inverse_std.reshape(-1, 1)
        return dx.reshape(x.shape), dscale.reshape(scale.shape), dbias.reshape(scale.shape)

    def flops(self, x: TensorType) -> Dim:
        return 7 * x.size  # sum; distance; square and sum; three to scale and shift

    def _type(self, x: TensorType) -> TensorType:
        """The type of the parameters."""
        require_float(self.name, x=x)
        shape = x.shape[resolve_axis(self.name, self.axis, x) :]
        if unknown := [dim for dim in shape if not isinstance(dim, int)]:
            note = f"each element has parameters, and `{unknown[0]}` is not known"
            raise mismatch(self.name, f"numbers for the sizes from axis {self.axis} on", x, note)
        return x.with_shape(*shape)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # means 2 and 10, variances 4: with ε = 12 the root is 4
        scale, bias = [2.0, 1.0], [0.0, 1.0]
        yield Sample(cls(epsilon=12.0), {"x": [[0.0, 4.0], [12.0, 8.0]], "scale": scale, "bias": bias},
                     {"y": [[-1.0, 1.5], [1.0, 0.5]], "mean": [2.0, 10.0], "inverse_std": [0.25, 0.25]})  # fmt: skip
        yield Sample(cls(axis=1, epsilon=12.0), {"x": [[[0.0], [4.0]]], "scale": [[2.0], [1.0]], "bias": [[0.0], [1.0]]},
                     {"y": [[[-1.0], [1.5]]], "mean": [2.0], "inverse_std": [0.25]}, note="over two axes")  # fmt: skip


def _rows(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """x as float[examples, elements]."""
    return x.reshape(-1 if scale.size else int(np.prod(x.shape[: x.ndim - scale.ndim])), scale.size)
