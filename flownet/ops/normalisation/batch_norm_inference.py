"""batch_norm_inference: batch_norm outside of training, by the running statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flownet.expression import parse
from flownet.op import Elementwise, Op, Sample
from flownet.ops.normalisation.channels import check_channels, check_epsilon
from flownet.ops.shape.reshape import Reshape
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["BatchNormInference"]


@dataclass(frozen=True)
class BatchNormInference(Op):
    """Each channel scaled and shifted by the running statistics: y = scale · (x − running_mean) / √(running_var + ε) + bias.

    What `batch_norm` is outside of training; it is seldom written by hand.

    epsilon: ε, which keeps the quotient finite

    Shapes: x float32[n, c] or float32[n, c, h, w]; scale, bias, running_mean, running_var float32[c] -> y like x.
    Gradient: dx = dy · scale / √(running_var + ε); the parameters and statistics have theirs too.
    It expands into a few numbers a channel, and one multiplication and one addition an element, which are fused with
    what stands around them.
    Source: Ioffe, Szegedy 2015, "Batch normalization".
    """

    epsilon: float = 1e-5

    name = "batch_norm_inference"
    category = "layer"

    def checked(self) -> None:
        check_epsilon(self.name, self.epsilon)

    def infer(
        self, x: TensorType, scale: TensorType, bias: TensorType, running_mean: TensorType, running_var: TensorType
    ) -> TensorType:
        check_channels(self.name, x, scale=scale, bias=bias, running_mean=running_mean, running_var=running_var)
        return x

    def expand(self, g: Builder, x: Value, scale: Value, bias: Value, running_mean: Value, running_var: Value) -> Value:
        root = f"sqrt(running_var + {self.epsilon!r})"
        factor = g.add(
            _term(f"scale / {root}", scale=f"dy / {root}", running_var=f"-0.5 * dy * y / (running_var + {self.epsilon!r})"),
            scale=scale, running_var=running_var,
        )  # fmt: skip
        offset = g.add(
            _term("bias - running_mean * factor", bias="dy", running_mean="-dy * factor", factor="-dy * running_mean"),
            bias=bias, running_mean=running_mean, factor=factor,
        )  # fmt: skip
        if x.type.rank > 2:
            beside = Reshape((scale.type.shape[0], *(1,) * (x.type.rank - 2)))
            factor, offset = g.add(beside, factor), g.add(beside, offset)
        return g.add(
            _term("x * factor + offset", x="dy * factor", factor="dy * x", offset="dy"),
            x=x,
            factor=factor,
            offset=offset,
        )

    def flops(self, x: TensorType) -> Dim:
        return 2 * x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        channels = {"scale": [3.0, 2.0], "bias": [0.5, 0.0], "running_mean": [1.0, -1.0], "running_var": [3.0, 15.0]}
        yield Sample(cls(epsilon=1.0), {"x": [[1.0, 3.0], [3.0, -1.0]], **channels}, {"y": [[0.5, 2.0], [3.5, 0.0]]})
        yield Sample(
            cls(epsilon=1.0), {"x": [[[[1.0, 3.0]], [[3.0, -5.0]]]], **channels}, {"y": [[[[0.5, 3.5]], [[2.0, -2.0]]]]}
        )


def _term(text: str, **gradients: str) -> Elementwise:
    """An elementwise op, and the gradients of its operands."""
    derivatives = tuple((operand, parse(derivative)) for operand, derivative in gradients.items())
    return Elementwise((("y", parse(text)),), tuple(gradients), derivatives)
