"""dense: a fully connected layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet.op import Initial, Op, Sample
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Op):
    """A fully connected layer, along the last axis: y = x Wᵀ + b.

    units: the size of the last axis of y
    bias:  whether b is added

    Shapes: x float32[n, d] (or [d], or [n, t, d]), weight float32[units, d] (as PyTorch and ONNX's `Gemm` keep it),
    bias float32[units] -> float32[n, units]. An image must be flattened first.
    Parameters: weight starts by `xavier_uniform`, bias by `zeros`.
    Gradient: dx = dy W, dW = dyᵀ x, db = Σ dy; each is computed only when it is needed.
    Source: Rosenblatt 1958; the start, Glorot, Bengio 2010.
    """

    units: int
    bias: bool = True

    name = "dense"
    category = "layer"
    channel_axis = -1

    def checked(self) -> None:
        if self.units < 1:
            raise bad_attribute(self.name, "units", "at least 1", self.units)

    def infer(self, x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        self._check(x)
        require_float(self.name, x=x, weight=weight, bias=bias)
        if weight is not None and weight.shape != (self.units, x.shape[-1]):
            raise mismatch(self.name, f"a weight {x.dtype}[{self.units}, {x.shape[-1]}] for the input {x}", weight)
        if bias is not None and bias.shape != (self.units,):
            raise mismatch(self.name, f"a bias {x.dtype}[{self.units}]", bias)
        return x.with_shape(*x.shape[:-1], self.units)

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        self._check(x)
        d = x.shape[-1]
        weight = Initial(x.with_shape(self.units, d), "xavier_uniform", fan_in=d, fan_out=self.units)
        return {"weight": weight, "bias": Initial(x.with_shape(self.units))} if self.bias else {"weight": weight}

    def forward(
        self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        if x.ndim == 2:
            out = np.matmul(x, weight.T, out=out)
        else:  # one product for all leading axes: NumPy would make one for each
            flat = None if out is None else out.reshape(-1, self.units, copy=False)
            flat = np.matmul(x.reshape(-1, x.shape[-1]), weight.T, out=flat)
            out = flat.reshape(*x.shape[:-1], self.units) if out is None else out
        if bias is not None:
            out += bias
        return out

    def backward_x(self, weight: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return np.matmul(dy.reshape(-1, self.units), weight).reshape(*dy.shape[:-1], weight.shape[1])

    def backward_weight(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return np.matmul(dy.reshape(-1, self.units).T, x.reshape(-1, x.shape[-1]))

    def backward_bias(self, dy: np.ndarray) -> np.ndarray:
        return dy.reshape(-1, self.units).sum(axis=0)

    def multiply_adds(self, x: TensorType) -> Dim:
        return x.size * self.units

    def _check(self, x: TensorType) -> None:
        require_float(self.name, x=x)
        if (
            not 1 <= x.rank <= 3
        ):  # an image that was not flattened would give a layer along its width, which nobody means
            raise mismatch(self.name, f"{x.dtype}[n, d]", x, help="put `- flatten` above it" if x.rank else "")
        if not isinstance(x.shape[-1], int):
            note = f"the weight is [{self.units}, {x.shape[-1]}], and `{x.shape[-1]}` is not known"
            raise mismatch(self.name, f"{x.dtype}[..., d] with a number for d", x, note)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        weight, bias = [[1.0, 0.0, 2.0], [-1.0, 3.0, 0.5]], [10.0, 20.0]
        x = [[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]]
        yield Sample(cls(2), {"x": x, "weight": weight, "bias": bias}, {"y": [[17.0, 26.5], [18.0, 19.0]]})
        yield Sample(
            cls(2, bias=False),
            {"x": [x, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], "weight": weight},
            {"y": [[[7.0, 6.5], [8.0, -1.0]], [[1.0, -1.0], [0.0, 3.0]]]},
            note="more leading axes, no bias",
        )
