"""batch_norm: each channel brought to mean 0 and variance 1 over the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Initial, Op, Sample
from flownet.ops.normalisation.batch_norm_inference import BatchNormInference
from flownet.ops.normalisation.channels import channel_type, check_channels, check_epsilon
from flownet.ops.requirements import bad_attribute
from flownet.types import Dim, TensorType

__all__ = ["BatchNorm"]


@dataclass(frozen=True)
class BatchNorm(Op):
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted: y = scale · (x − μ) / √(σ² + ε) + bias.

    μ and σ² are the channel's mean and variance (of all m values, divided by m) over the batch and all pixels. Outside of
    training the running statistics take their place, which each training step moves towards those of its batch:
    running ← (1 − momentum) · running + momentum · batch's, the variance divided by m − 1, as PyTorch does.

    epsilon:  ε, which keeps the quotient finite
    momentum: the share of the batch in the running statistics

    Shapes: x float32[n, c] or float32[n, c, h, w]; scale, bias, running_mean, running_var float32[c] -> y like x. Beside it come
    new_running_mean, new_running_var, and mean and inverse_std = 1 / √(σ² + ε), which are kept for the gradient; all float32[c].
    Parameters: scale starts by `ones`, bias by `zeros`. States: running_mean starts by `zeros`, running_var by `ones`.
    Gradient: with x̂ = (x − μ) · inverse_std: dbias = Σ dy, dscale = Σ dy·x̂,
    dx = scale · inverse_std · (dy − dbias / m − x̂ · dscale / m).
    Kept: x. Running statistics have no gradient as inputs.
    Numerical care: the variance is the mean of squared distances from the mean, computed in a second run over x. Sums over
    the batch are of float64.
    Errors: `batch-too-small` while running, for a batch of one value a channel, which has no variance.
    Source: Ioffe, Szegedy 2015, "Batch normalization".
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    name = "batch_norm"
    category = "layer"
    outputs = ("y", "new_running_mean", "new_running_var", "mean", "inverse_std")
    updates = {"running_mean": "new_running_mean", "running_var": "new_running_var"}
    differentiable = ("x", "scale", "bias")

    def checked(self) -> None:
        check_epsilon(self.name, self.epsilon)
        if not 0 <= self.momentum <= 1:
            raise bad_attribute(self.name, "momentum", "from 0 to 1", self.momentum)

    def infer(
        self, x: TensorType, scale: TensorType, bias: TensorType, running_mean: TensorType, running_var: TensorType
    ) -> tuple[TensorType, ...]:
        channel = check_channels(
            self.name, x, scale=scale, bias=bias, running_mean=running_mean, running_var=running_var
        )
        return x, channel, channel, channel, channel

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        channel = channel_type(self.name, x)
        return {"scale": Initial(channel, "ones"), "bias": Initial(channel)}

    def states(self, x: TensorType) -> Mapping[str, Initial]:
        channel = channel_type(self.name, x)
        return {
            "running_mean": Initial(channel, is_parameter=False),
            "running_var": Initial(channel, "ones", is_parameter=False),
        }

    def forward(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        *,
        out: tuple[np.ndarray, ...] | None = None,
    ) -> tuple[np.ndarray, ...]:
        m = x.shape[0] * x[:1, :1].size
        if m < 2:
            raise FlownetError.of(
                "batch-too-small", f"`{self.name}` takes two or more values a channel in training, got {m}",
                "one value has no variance", help="take a larger batch",
            )  # fmt: skip
        dtype = x.dtype.type
        y = np.empty_like(x, order="C") if out is None else out[0]
        mean = _sum(x) / dtype(m)
        np.subtract(x, _beside(mean, x), out=y)
        variance = _sum_of_products(y, y) / dtype(m)
        inverse_std = 1 / np.sqrt(variance + dtype(self.epsilon))
        y *= _beside(scale * inverse_std, x)
        y += _beside(bias, x)
        kept, new = dtype(1 - self.momentum), dtype(self.momentum)
        statistics = (
            kept * running_mean + new * mean,
            kept * running_var + new * dtype(m / (m - 1)) * variance,
            mean, inverse_std,
        )  # fmt: skip
        if out is None:
            return y, *statistics
        for to, array in zip(out[1:], statistics, strict=True):
            np.copyto(to, array)
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
        dnew_running_mean: np.ndarray | None = None,
        dnew_running_var: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        m = x.dtype.type(x.shape[0] * x[:1, :1].size)
        momentum = x.dtype.type(self.momentum)
        centred = x - _beside(mean, x)
        if dy is None:
            dy = np.zeros_like(x)
        dbias = _sum(dy)
        dscale = inverse_std * _sum_of_products(dy, centred)
        gain = scale * inverse_std
        # dx = gain · dy + slope · (x − μ) + level, where what arrives at the statistics, if anything does, adds to the last two
        slope, level = -gain * inverse_std * dscale / m, -gain * dbias / m
        if dmean is not None:
            level += dmean / m
        if dnew_running_mean is not None:
            level += momentum * dnew_running_mean / m
        if dinverse_std is not None:
            slope -= inverse_std**3 * dinverse_std / m
        if dnew_running_var is not None:
            slope += momentum * 2 / (m - 1) * dnew_running_var
        dx = centred
        dx *= _beside(slope, x)
        dx += dy * _beside(gain, x)
        dx += _beside(level, x)
        return dx, dscale, dbias

    def inference(self) -> Op:
        return BatchNormInference(self.epsilon)

    def flops(self, x: TensorType) -> Dim:
        return 7 * x.size  # sum; distance; square and sum; scale; shift

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # means 3 and 1, variances 4 and 1; with ε = 12 the roots are 4 and √13
        channels = {"scale": [3.0, 1.0], "bias": [0.5, -1.0], "running_mean": [0.0, 1.0], "running_var": [1.0, 1.0]}
        statistics = {"new_running_mean": [0.75, 1.0], "new_running_var": [2.75, 1.25],
                      "mean": [3.0, 1.0], "inverse_std": [0.25, 1 / 13**0.5]}  # fmt: skip
        yield Sample(cls(epsilon=12.0, momentum=0.25), {"x": [[1.0, 0.0], [5.0, 2.0]], **channels},
                     {"y": [[-1.0, -1.0 - 1 / 13**0.5], [2.0, -1.0 + 1 / 13**0.5]], **statistics})  # fmt: skip
        # the same values as pixels of one image
        yield Sample(cls(epsilon=12.0, momentum=0.25), {"x": [[[[1.0, 5.0]], [[0.0, 2.0]]]], **channels},
                     {"y": [[[[-1.0, 2.0]], [[-1.0 - 1 / 13**0.5, -1.0 + 1 / 13**0.5]]]], **statistics})  # fmt: skip


def _sum(x: np.ndarray) -> np.ndarray:
    """Σ x of each channel: of a plane in pairs, as NumPy adds neighbours in memory, and of the planes in float64."""
    planes = x.sum(tuple(range(2, x.ndim))) if x.ndim > 2 else x
    return planes.sum(0, dtype=np.float64).astype(x.dtype)


def _beside(channel: np.ndarray, x: np.ndarray) -> np.ndarray:
    """One number a channel, so that it broadcasts to x."""
    return channel.reshape(-1, *(1,) * (x.ndim - 2))


def _sum_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Σ a·b of each channel."""
    if a.ndim == 2:
        return (a * b).sum(0, dtype=a.dtype)
    pixels = "hwdefg"[: a.ndim - 2]
    return np.einsum(f"nc{pixels},nc{pixels}->c", a, b)
