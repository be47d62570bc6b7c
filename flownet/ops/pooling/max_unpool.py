"""max_unpool: the way back of max_pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.requirements import bad_attribute, mismatch
from flownet.ops.windows import check_at_least, pair, require_image
from flownet.types import Dim, Symbolic, TensorType, bind

__all__ = ["MaxUnpool"]


@dataclass(frozen=True)
class MaxUnpool(Op):
    """Each pixel of x at the place where `max_pool` found its maximum, in an image of zeros.

    kernel:  what the pooling had; with `stride` and `padding` it says how large the image was
    stride:  what the pooling had; absent: `kernel`
    padding: what the pooling had
    size:    [height, width] of the output, for poolings that left a rest; or feed an input `like`, an image of that size

    Shapes: x float32[n, c, h, w], indices int32[n, c, h, w] (`pool.indices`: row·width + column in the output) -> float32[n, c, h',
    w'] with h' = (h − 1)·stride − 2·padding + kernel, or `size`, or the size of `like`. Where two windows had the same maximum, the
    last one's value stands.
    Gradient: dx is dy at these places. Kept: `indices`.
    Errors: `index-out-of-range` while running, for a place that the output has not: its size is not that of the pooled image.
    Source: Zeiler, Taylor, Fergus 2011; Noh, Hong, Han 2015, "Learning deconvolution network for semantic segmentation".
    """

    kernel: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    size: tuple[int | Symbolic, int | Symbolic] | None = None

    name = "max_unpool"
    category = "layer"
    differentiable = ("x",)

    def checked(self) -> None:
        check_at_least(self.name, 1, {"kernel": self.kernel, "stride": self.stride})
        check_at_least(self.name, 0, {"padding": self.padding})
        if self.size is not None and any(isinstance(dim, int) and dim < 1 for dim in self.size):
            raise bad_attribute(self.name, "size", "at least 1", list(self.size))

    def infer(self, x: TensorType, indices: TensorType, like: TensorType | None = None) -> TensorType:
        require_image(self.name, x)
        if not indices.dtype.is_integer:
            raise FlownetError.of(
                "dtype-mismatch", f"`{self.name}` takes whole numbers as `indices`, got {indices}",
                help="take the second output of the pooling: `in: {indices: pool.indices}`",
            )  # fmt: skip
        if indices.shape != x.shape:
            note = "each pixel of x goes to one place: both come from layers of one size"
            raise mismatch(self.name, "x and indices of one shape", f"{x} and {indices}", note)
        if like is not None:
            require_image(self.name, like)
            return x.with_shape(*x.shape[:2], *like.shape[2:])
        size = self._size(x.shape)
        if any(isinstance(dim, int) and dim < 1 for dim in size):
            raise FlownetError.of("shape-mismatch", f"`{self.name}` leaves nothing of {x}", help="take less padding")
        return x.with_shape(*x.shape[:2], *size)

    def forward(self, x: np.ndarray, indices: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
        high, wide = like.shape[2:] if like is not None else self._size(x.shape)
        replace(self, size=(high, wide)).check_fed(indices)
        y = np.zeros((*x.shape[:2], high, wide), x.dtype)
        y.reshape(-1)[_places(indices, high * wide)] = x.reshape(-1)
        return y

    def check_fed(self, indices: np.ndarray) -> None:
        """Raise FlownetError (`index-out-of-range`) for a place that an image of `size` has not."""
        assert self.size is not None
        high, wide = self.size
        if indices.size and not (indices.min() >= 0 and indices.max() < high * wide):
            wrong = indices[(indices < 0) | (indices >= high * wide)].ravel()[0]
            raise FlownetError.of(
                "index-out-of-range", f"`{self.name}` makes images of {high}×{wide} pixels, got the place {wrong}",
                help="give it the size of the image that was pooled, by `size` or by an input `like`",
            )  # fmt: skip

    def backward_x(self, indices: np.ndarray, dy: np.ndarray) -> np.ndarray:
        places = _places(indices, dy.shape[2] * dy.shape[3])
        return dy.reshape(-1)[places].reshape(indices.shape)

    def bind(self, sizes: Mapping[str, int]) -> MaxUnpool:
        return self if self.size is None else replace(self, size=(bind(self.size[0], sizes), bind(self.size[1], sizes)))

    def flops(self) -> Dim:
        return 0

    def _size(self, shape: tuple[Dim, ...]) -> tuple[Dim, Dim]:
        """(height, width) of the output for x of that shape."""
        if self.size is not None:
            return self.size
        kernel, padding = pair(self.kernel), pair(self.padding)
        stride = kernel if self.stride is None else pair(self.stride)
        high, wide = ((shape[2 + i] - 1) * stride[i] + (kernel[i] - 2 * padding[i]) for i in (0, 1))
        return high, wide

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x, indices = [[[[1.0, 2.0]]], [[[3.0, 4.0]]]], np.array([[[[5, 2]]], [[[0, 7]]]], np.int32)
        y = [[[[0.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0]]], [[[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0]]]]
        yield Sample(cls(), {"x": x, "indices": indices}, {"y": y})
        row = [[[[0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]], [[[3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0]]]]
        yield Sample(cls(2, size=(1, 9)), {"x": x, "indices": indices}, {"y": row})
        yield Sample(
            cls(),
            {"x": x, "indices": indices, "like": [[[[0.0] * 4] * 2]] * 2},
            {"y": y},
            note="as large as another image",
        )


def _places(indices: np.ndarray, size: int) -> np.ndarray:
    """Places in all planes end to end."""
    first = np.arange(indices.shape[0] * indices.shape[1]) * size
    return (indices + first.reshape(*indices.shape[:2], 1, 1)).reshape(-1)
