"""Where a sliding window stands on an image: kernel, stride, padding and dilation, and the sizes that follow from them.

A pair is (of the height, of the width); a padding is (before, after) for each of the two axes. All sizes may be symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from flownet.errors import FlownetError
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["Padding", "Pads", "Pair", "check_at_least", "check_padding", "padding_of", "pair", "require_image", "steps"]

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
Padding = int | Pair | Literal["same", "valid"]


def pair(value: int | Pair) -> Pair:
    """`3` and `(3, 5)` as (of the height, of the width)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def check_at_least(op: str, least: int, attributes: Mapping[str, object]) -> None:
    """Raise FlownetError (`bad-attribute`) for a number, or a number in a pair, below `least`; None passes."""
    for name, value in attributes.items():
        if value is not None and min(pair(value)) < least:  # type: ignore[arg-type]
            raise bad_attribute(op, name, f"at least {least}", _text(value))


def check_padding(op: str, padding: object) -> None:
    """Raise FlownetError (`bad-attribute`) for what is neither a number from 0 on, a pair of them, `same` nor `valid`."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise bad_attribute(op, "padding", "a number, a pair, `same` or `valid`", f"`{padding}`")
    else:
        check_at_least(op, 0, {"padding": padding})


def require_image(op: str, x: TensorType) -> None:
    """Raise FlownetError (`shape-mismatch`, `dtype-mismatch`) unless x is float[n, c, h, w]."""
    require_float(op, x=x)
    if x.rank != 4:
        help = "put `- reshape: {shape: [-1, channels, height, width]}` above it" if x.rank == 2 else ""
        raise mismatch(op, f"{x.dtype}[n, c, h, w]", x, help=help)


def padding_of(padding: Padding, size: int, kernel: int, stride: int, dilation: int, axis: int) -> Pair:
    """(before, after) along one axis.

    `same` pads so that the output has ⌈size / stride⌉ elements; an odd element of padding stands behind, as in TensorFlow
    and in ONNX's SAME_UPPER (PyTorch agrees, and has strides of 1 only).
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        return total // 2, total - total // 2
    before = pair(padding)[axis]  # type: ignore[arg-type]
    return before, before


def steps(
    op: str, x: TensorType, axis: int, padding: Padding, kernel: int, stride: int, dilation: int = 1, ceil: bool = False
) -> Dim:
    """The number of places at which the window stands along one axis (0: height, 1: width).

    ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1. With `ceil` a window may hang over the end, as long as it
    begins inside the image or its padding before: what PyTorch's `ceil_mode` does.

    Raises FlownetError (`shape-mismatch`) where the window does not fit.
    """
    size = x.shape[2 + axis]
    if padding == "same":
        return (size + (stride - 1)) // stride
    before = 0 if padding == "valid" else pair(padding)[axis]  # type: ignore[arg-type]
    reach = dilation * (kernel - 1) + 1
    room = size + (2 * before - reach)
    if not ceil:
        count = room // stride + 1
    elif stride + before <= kernel:
        count = (room + (stride - 1)) // stride + 1
    else:
        count = (size + (before - 1)) // stride + 1
    if isinstance(count, int) and count < 1:
        name = ("height", "width")[axis]
        note = f"the window reaches over {reach} of its {name}, which has {size + 2 * before} with its padding"
        raise FlownetError.of(
            "shape-mismatch", f"`{op}` does not fit on {x}", note, help="take a smaller kernel, or more padding"
        )
    return count


def _text(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
