"""shortcut: the branch of a residual block that leaves its input as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flownet.errors import FlownetError
from flownet.initialisers import HeNormal
from flownet.op import Initial, Op, Sample
from flownet.ops.convolution.conv2d import Conv2d
from flownet.ops.normalisation.batch_norm import BatchNorm
from flownet.ops.requirements import mismatch
from flownet.ops.shape.pad import Pad
from flownet.ops.shape.slice import Slice
from flownet.ops.windows import check_at_least, pair, require_image
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Shortcut", "ShortcutInference"]


@dataclass(frozen=True)
class Shortcut(Op):
    """The input, brought to the shape of what it is added to: the short way around the layers of a residual block.

    Where channels and size stay it is the input itself. Else, by `option`:
    `zero_padding` (the paper's A): every stride-th pixel, and zeros for the new channels; no parameters
    `projection` (B): a convolution of 1×1 and a `batch_norm`

    channels: of the output
    stride:   by how much height and width shrink, one number for both or [height, width]
    option:   what makes up the difference

    Shapes: x float32[n, c, h, w] -> float32[n, channels, ⌈h / stride⌉, ⌈w / stride⌉].
    Parameters of a projection: weight float32[channels, c, 1, 1] starts by `he_normal` (fan out), scale and bias as `batch_norm`'s.
    Gradient: that of the parts. It expands into them.
    Source: He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", section 3.3.
    """

    channels: int
    stride: int | tuple[int, int] = 1
    option: Literal["zero_padding", "projection"] = "zero_padding"

    name = "shortcut"
    category = "layer"

    def checked(self) -> None:
        check_at_least(self.name, 1, {"channels": self.channels, "stride": self.stride})

    def infer(
        self,
        x: TensorType,
        weight: TensorType | None = None,
        scale: TensorType | None = None,
        bias: TensorType | None = None,
        running_mean: TensorType | None = None,
        running_var: TensorType | None = None,
    ) -> TensorType:
        require_image(self.name, x)
        n, c, h, w = x.shape
        if self._is_projection(x):
            given = {
                "weight": weight,
                "scale": scale,
                "bias": bias,
                "running_mean": running_mean,
                "running_var": running_var,
            }
            missing = [name for name, type_ in given.items() if type_ is None]
            if missing and len(missing) < len(given):
                raise FlownetError.of(
                    "missing-input", f"the projection of `{self.name}` lacks its input `{missing[0]}`"
                )
            return self._convolution.infer(x, weight)
        if not isinstance(c, int) or c > self.channels:
            help = f"`option: projection` can make {self.channels} channels of any number"
            raise mismatch(self.name, f"at most {self.channels} channels, to pad them with zeros", x, help=help)
        down, right = pair(self.stride)
        return x.with_shape(n, self.channels, (h + (down - 1)) // down, (w + (right - 1)) // right)

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        if not self._is_projection(x):
            return {}
        weight = self._convolution.parameters(x)["weight"].started_by(HeNormal("out"))
        return {"weight": weight, **self._normalisation.parameters(self._convolution.infer(x))}

    def states(self, x: TensorType) -> Mapping[str, Initial]:
        return self._normalisation.states(self._convolution.infer(x)) if self._is_projection(x) else {}  # type: ignore[attr-defined]

    def expand(
        self,
        g: Builder,
        x: Value,
        weight: Value | None = None,
        scale: Value | None = None,
        bias: Value | None = None,
        running_mean: Value | None = None,
        running_var: Value | None = None,
    ) -> Value:
        if weight is not None:
            x = g.add(self._convolution, x, weight=weight)
            statistics = {"running_mean": running_mean, "running_var": running_var}
            made = g.add(self._normalisation, x, scale=scale, bias=bias, **statistics)
            return made[0] if isinstance(made, tuple) else made
        if pair(self.stride) != (1, 1):
            x = g.add(Slice((0, 0), (None, None), (2, 3), pair(self.stride)), x)
        more = self.channels - int(x.type.shape[1])  # type: ignore[arg-type]
        return g.add(Pad(((0, more), (0, 0), (0, 0))), x) if more else x

    def inference(self) -> Op:
        return ShortcutInference(self.channels, self.stride, self.option) if self.option == "projection" else self

    def multiply_adds(self, weight: TensorType | None, y: TensorType) -> Dim:
        return 0 if weight is None else self._convolution.multiply_adds(weight, y)

    def flops(self, weight: TensorType | None, y: TensorType) -> Dim:
        return 0 if weight is None else 2 * self._convolution.multiply_adds(weight, y) + 7 * y.size

    def _is_projection(self, x: TensorType) -> bool:
        require_image(self.name, x)
        return self.option == "projection" and (x.shape[1] != self.channels or pair(self.stride) != (1, 1))

    @property
    def _convolution(self) -> Conv2d:
        return Conv2d(self.channels, 1, self.stride, bias=False)

    @property
    def _normalisation(self) -> Op:
        return BatchNorm()

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]
        yield Sample(cls(1), {"x": x}, {"y": x}, note="nothing changes")
        yield Sample(cls(2, 2), {"x": x}, {"y": [[[[1.0, 3.0], [7.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]]]})
        # the sums and differences of the pixels 1, 3, 7, 9 and 0, 4, 4, 0: means 7 and 3, variances 14 both
        two, root = [[*x[0], [[0.0, 5.0, 4.0], [6.0, 7.0, 8.0], [4.0, 9.0, 0.0]]]], 14.00001**0.5
        projected = [[[[-6 / root, 0.0], [4 / root, 2 / root]], [[1 - 6 / root, 1 - 12 / root], [1.0, 1 + 18 / root]]]]
        yield Sample(cls(2, 2, "projection"), {"x": two, "weight": [[[[1.0]], [[1.0]]], [[[1.0]], [[-1.0]]]], "scale": [1.0, 3.0],
                                               "bias": [0.0, 1.0], "running_mean": [0.0, 0.0], "running_var": [1.0, 1.0]},
                     {"y": projected})  # fmt: skip


@dataclass(frozen=True)
class ShortcutInference(Shortcut):
    """`shortcut` outside of training: its projection is normalised by the running statistics.

    Attributes as `shortcut`'s. It is seldom written by hand.
    Shapes: x float32[n, c, h, w] -> float32[n, channels, ⌈h / stride⌉, ⌈w / stride⌉].
    Gradient: that of the parts. It expands into them.
    """

    name = "shortcut_inference"

    @property
    def _normalisation(self) -> Op:
        return BatchNorm().inference()

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        return Shortcut(self.channels, self.stride, self.option).parameters(x)

    def states(self, x: TensorType) -> Mapping[str, Initial]:
        return Shortcut(self.channels, self.stride, self.option).states(x)

    def inference(self) -> Op:
        return self

    def flops(self, weight: TensorType | None, y: TensorType) -> Dim:
        return 0 if weight is None else 2 * self._convolution.multiply_adds(weight, y) + 2 * y.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"x": [[[[1.0, 2.0, 3.0]]]], "weight": [[[[2.0]]], [[[-1.0]]]], "scale": [1.0, 3.0], "bias": [0.0, 1.0]}
        yield Sample(cls(2, (1, 2), "projection"), {**given, "running_mean": [1.0, 0.0], "running_var": [0.99999, 8.99999]},
                     {"y": [[[[1.0, 5.0]], [[0.0, -2.0]]]]})  # fmt: skip
        yield Sample(cls(2, (1, 2)), {"x": given["x"]}, {"y": [[[[1.0, 3.0]], [[0.0, 0.0]]]]})
