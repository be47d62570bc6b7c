"""The convolution problem, and the one form that its forward pass and its input gradient share.

A *tap convolution* is a sum over taps t and input channels c, computed for classes of output pixels:

    out[k, i * out_stride + phase, ...] = sum over t in class, c of  weight[t][c][k] * in[c, i * in_stride + offset[t],
    ...]

Forward: one class, `in_stride` is the stride, the offsets are `r * dilation - padding`. Input gradient: the pixels of
`dx` that are equal modulo the stride form a class, `in_stride` is 1, and a class has those taps whose source pixel is
whole: with stride 2 a 3x3 convolution has classes of 4, 2, 2 and 1 taps, and nothing is multiplied by an inserted
zero. A transposed convolution is the input gradient with the roles of its two images swapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from flownet.devices.opencl.kernels.kernel import ceil_div, identifier

__all__ = ["Class", "Convolution", "TapConvolution"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """`y[n, k] = sum over c, r, s of w[k, c, r, s] * x[n, c, h * stride + r * dilation - padding, ...]`.

    padding: ((top, bottom), (left, right)). Weights are `[filters][channels / groups][kernel[0]][kernel[1]]`.
    planar:  x is plain NCHW instead of blocked: for a first layer, whose 1 or 3 channels would waste a block
    """

    batch: int
    channels: int
    height: int
    width: int
    filters: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    planar: bool = False

    @cached_property
    def output(self) -> Pair:
        """(height, width) of y."""
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.padding, self.dilation, strict=True)
        high, wide = ((size + sum(pad) - (k - 1) * d - 1) // s + 1 for size, k, s, pad, d in sizes)
        return high, wide

    @property
    def flops(self) -> int:
        """2 for each multiply-add of the definition, taps on the padding included."""
        high, wide = self.output
        taps = self.kernel[0] * self.kernel[1]
        return 2 * self.batch * self.filters * high * wide * (self.channels // self.groups) * taps

    @property
    def bytes(self) -> int:
        high, wide = self.output
        weights = self.filters * (self.channels // self.groups) * self.kernel[0] * self.kernel[1]
        images = self.batch * (self.channels * self.height * self.width + self.filters * high * wide)
        return 4 * (weights + images)

    def label(self, direction: str) -> str:
        """A readable name for a kernel."""
        (r, s), (high, wide) = self.kernel, self.output
        parts = [direction, f"n{self.batch}_c{self.channels}_k{self.filters}_{r}x{s}_{high}x{wide}"]
        if self.stride != (1, 1):
            parts.append(f"s{self.stride[0]}{self.stride[1]}")
        if self.groups > 1:
            parts.append(f"g{self.groups}")
        return identifier(*parts)


@dataclass(frozen=True)
class Class:
    """Output pixels of one phase: how many, and the taps (row offset, column offset, index r * kernel width + s) that
    reach them."""

    phase: Pair
    size: Pair
    taps: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class TapConvolution:
    """See the module. `input` and `output` are (channels, height, width); `area` counts a filter's taps, of which an input
    gradient has fewer where the stride steps over some of a small image."""

    batch: int
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    in_stride: Pair
    out_stride: Pair
    classes: tuple[Class, ...]
    area: int
    groups: int
    planar: bool
    flops: int
    bytes: int
    label: str

    @classmethod
    def forward(cls, p: Convolution) -> TapConvolution:
        """y from x."""
        taps = tuple(
            (r * p.dilation[0] - p.padding[0][0], s * p.dilation[1] - p.padding[1][0], r * p.kernel[1] + s)
            for r in range(p.kernel[0])
            for s in range(p.kernel[1])
        )
        out = (p.filters, *p.output)
        classes = (Class((0, 0), p.output, taps),)
        image = (p.channels, p.height, p.width)
        return cls(
            p.batch, image, out, p.stride, (1, 1), classes, len(taps), p.groups, p.planar, p.flops, p.bytes, p.label("conv2d")
        )  # fmt: skip

    @classmethod
    def input_gradient(cls, p: Convolution) -> TapConvolution:
        """dx from dy: row h of dx takes w[r] * dy[(h + top - r * dilation) / stride] where that is whole."""
        (sh, sw), (dh, dw) = p.stride, p.dilation
        top, left = p.padding[0][0], p.padding[1][0]
        classes = []
        for ph in range(min(sh, p.height)):
            for pw in range(min(sw, p.width)):
                taps = tuple(
                    ((ph + top - r * dh) // sh, (pw + left - s * dw) // sw, r * p.kernel[1] + s)
                    for r in range(p.kernel[0])
                    for s in range(p.kernel[1])
                    if (ph + top - r * dh) % sh == 0 and (pw + left - s * dw) % sw == 0
                )
                size = (ceil_div(p.height - ph, sh), ceil_div(p.width - pw, sw))
                classes.append(Class((ph, pw), size, taps))
        return cls(
            p.batch,
            (p.filters, *p.output),
            (p.channels, p.height, p.width),
            (1, 1),
            p.stride,
            tuple(classes),
            p.kernel[0] * p.kernel[1],
            p.groups,
            False,
            p.flops,
            p.bytes,
            p.label("conv2d_dx"),
        )

    @property
    def taps(self) -> tuple[tuple[int, int, int], ...]:
        """Taps of all classes in order: the order of the reordered weights."""
        return tuple(tap for cls in self.classes for tap in cls.taps)

    def input_blocks(self, block: int, vector: int) -> tuple[tuple[int, ...], int]:
        """For each block of `block` output channels the first block of input channels that it reads, and how many they
        all read."""
        channels, filters = self.input[0], self.output[0]
        if self.planar:
            return (0,) * ceil_div(filters, block), 1
        per_in, per_out = channels // self.groups, filters // self.groups
        firsts, count = [], 1
        for k in range(0, filters, block):
            low = k // per_out * per_in // vector
            high = ceil_div(((min(k + block, filters) - 1) // per_out + 1) * per_in, vector)
            firsts.append(low)
            count = max(count, high - low)
        last = ceil_div(channels, vector) - count
        return tuple(min(first, last) for first in firsts), count
