"""Which kernels compute a convolution, best first: what the compiler calls and what tuning measures.

    for choice in candidates(problem, "forward", target):
        choice.prepare()            # kernel W -> F or U, to run when the weights have changed
        choice.compute(epilogue)    # kernel X, F or U, operands -> outputs
    for choice in candidates(problem, "weight_gradient", target):
        choice.gradient()           # Steps: X, dY -> P (scratch) -> dW

Directions: "forward" (y from x), "input_gradient" (dx from dy, which comes as `X`; result `Y`), "weight_gradient" (dw
from x and dy). A transposed convolution from y's shape to x's is the "input_gradient" of the convolution from x to y;
its input gradient is that convolution's "forward", and its weight gradient the same with the images swapped
(`transposed` says how).

The order follows a model of the time in cycles of one core, fitted on a Zen 4: `_cycles`. Measured, on 2 cores with a
peak of 236 GFLOP/s: direct 200 to 222, Winograd F(4x4) 390 to 740, weight gradients 160 to 215 and 360 to 620
(`benchmarks/kernels.py` prints them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flownet.devices.opencl.kernels import depthwise, gpu, layout, winograd
from flownet.devices.opencl.kernels import weight_gradient as direct_gradient
from flownet.devices.opencl.kernels.direct import Tile, direct, filter_shape, tiles
from flownet.devices.opencl.kernels.epilogue import Epilogue, Prologue
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.kernels.kernel import Kernel, Steps, ceil_div, product
from flownet.devices.opencl.target import Target

__all__ = ["Choice", "Convolution", "candidates", "transposed"]

DIRECTIONS = ("forward", "input_gradient", "weight_gradient")


@dataclass(frozen=True)
class Choice:
    """One way to compute a direction. `family`: "direct", "winograd", "depthwise" or "gpu"; `cycles` is the model's
    estimate."""

    problem: Convolution
    direction: str
    target: Target
    family: str
    shape: Any  # of the family: Tile, Tiling, GradientTile, GradientTiling, or None
    cycles: float

    @property
    def taps(self) -> TapConvolution:
        """The tap convolution of a direction that has one."""
        if self.direction == "input_gradient":
            return TapConvolution.input_gradient(self.problem)
        return TapConvolution.forward(self.problem)

    @property
    def weights(self) -> tuple[str, int]:
        """(argument name, floats) of the prepared weights; plain weights where there is nothing to prepare."""
        if self.family == "winograd":
            return "U", product(winograd.transformed_shape(self.taps, self.shape, self.target))
        if self.family == "depthwise":
            v = self.target.vector
            return "F", ceil_div(self.problem.channels, v) * len(self.taps.taps) * v
        if self.family == "gpu":
            return "W", _plain_size(self.problem)
        return "F", product(filter_shape(self.taps, self.shape.columns, self.target))

    def prepare(self) -> Kernel | None:
        """The kernel that makes `weights` out of plain `W`, or None where plain weights serve."""
        transposed = self.direction == "input_gradient"
        if self.family == "winograd":
            return winograd.filter_transform(self.taps, self.shape, self.target, transposed=transposed)
        if self.family == "depthwise":
            return depthwise.reorder_depthwise(self.taps, self.target)
        if self.family == "gpu":
            return None
        size = _plain_size(self.problem)
        return layout.reorder_filters(self.taps, self.shape.columns, self.target, size, transposed=transposed)

    def compute(self, epilogue: Epilogue = Epilogue(), prologue: Prologue | None = None) -> Kernel:
        """The kernel from `X` and the prepared weights to the epilogue's outputs. The families direct and winograd
        take a prologue."""
        assert self.direction != "weight_gradient", "a weight gradient has `gradient()`"
        assert prologue is None or self.family in ("direct", "winograd"), "this family takes no prologue"
        if self.family == "winograd":
            return winograd.winograd(self.taps, self.target, epilogue, self.shape, prologue)
        if self.family == "depthwise":
            return depthwise.depthwise(self.taps, self.target, epilogue)
        if self.family == "gpu":
            generate = gpu.input_gradient if self.direction == "input_gradient" else gpu.convolution
            return generate(self.problem, self.target, epilogue)
        return direct(self.taps, self.target, epilogue, self.shape, prologue)

    def gradient(self, prologue: Prologue | None = None, dy_prologue: Prologue | None = None) -> Steps:
        """Kernels from `X` and `dY` to plain `dW`, by way of partial sums `P`; a prologue for each of the two
        images."""
        assert self.direction == "weight_gradient"
        p, target = self.problem, self.target
        if self.family == "winograd":
            first = winograd.weight_gradient(p, target, self.shape, prologue, dy_prologue)
            second = winograd.reduce_gradient(p, target, self.shape)
        elif self.family == "depthwise":
            first, second = depthwise.weight_gradient(p, target), depthwise.reduce_depthwise(p, target)
        elif self.family == "gpu":
            return gpu.weight_gradient(p, target)
        else:
            first = direct_gradient.weight_gradient(p, target, self.shape, prologue, dy_prologue)
            second = layout.reduce_filters(self.taps, self.shape.columns, self.shape.splits, target, _plain_size(p))
        scratch = next(a.size for a in first.arguments if a.name == "P")
        return Steps((first, second), {"P": scratch})


def transposed(
    batch: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    output_padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Convolution:
    """The convolution whose "input_gradient" is the transposed convolution of an image [batch, channels, height, width]
    with plain weights [channels][filters / groups][r][s].

    Its "forward" is then the transposed convolution's input gradient; its "weight_gradient", with dy of the transposed
    convolution as `X` and the image as `dY`, gives the gradient of those weights.
    """
    sizes = zip((height, width), kernel, stride, padding, output_padding, dilation, strict=True)
    high, wide = ((size - 1) * s - sum(pad) + d * (k - 1) + more + 1 for size, k, s, pad, more, d in sizes)
    return Convolution(batch, filters, high, wide, channels, kernel, stride, padding, dilation, groups)


def _plain_size(p: Convolution) -> int:
    return p.filters * (p.channels // p.groups) * p.kernel[0] * p.kernel[1]


def candidates(p: Convolution, direction: str, target: Target) -> list[Choice]:
    """Choices for a direction, the one that the model takes for the fastest first."""
    assert direction in DIRECTIONS, direction
    if target.kind == "gpu":
        return [Choice(p, direction, target, "gpu", None, 0.0)]
    if depthwise.applies(p):
        return [Choice(p, direction, target, "depthwise", None, 0.0)]
    out = []
    if direction == "weight_gradient":
        for i, lanes in enumerate(direct_gradient.gradient_tiles(p, target)):
            out.append(Choice(p, direction, target, "direct", lanes, _direct_cycles(p, target) * (1.12 + 0.02 * i)))
        if winograd.applies(TapConvolution.forward(p)):
            for tiling in winograd.gradient_tilings(p, target):
                out.append(
                    Choice(p, direction, target, "winograd", tiling, _winograd_cycles(p, tiling.m, target) * 1.3)
                )
    else:
        taps = TapConvolution.input_gradient(p) if direction == "input_gradient" else TapConvolution.forward(p)
        for i, tile in enumerate(tiles(taps, target)):
            out.append(Choice(p, direction, target, "direct", tile, _direct_cycles(p, target, tile) * (1 + 0.02 * i)))
        if winograd.applies(taps):
            for wide in winograd.tilings(taps, target):
                cycles = _winograd_cycles(p, wide.m, target, wide)
                out.append(Choice(p, direction, target, "winograd", wide, cycles))
    return sorted(out, key=lambda choice: choice.cycles)


def _direct_cycles(p: Convolution, target: Target, tile: Tile | None = None) -> float:
    """Multiply-adds of whole vectors at 90% of one a cycle (two for V = 8), or the reading of the weights."""
    v = target.vector
    channels = p.channels if p.planar else ceil_div(p.channels // p.groups, v) * v
    high, wide = p.output
    taps = p.kernel[0] * p.kernel[1]
    work = p.batch * high * wide * channels * ceil_div(p.filters, v) * taps
    weights = 4 * channels * ceil_div(p.filters, v) * v * taps
    groups = 1 if tile is None else p.batch * ceil_div(high, tile.rows)
    return max(work / (0.9 * 16 / v), _streamed(weights, groups, target))


def _winograd_cycles(p: Convolution, m: int, target: Target, tiling: winograd.Tiling | None = None) -> float:
    """The product at each position, 200 (m = 4) or 130 (m = 2) cycles to transform a tile of V channels in or out, and
    the reading of transformed weights."""
    v = target.vector
    high, wide = ceil_div(p.output[0], m), ceil_div(p.output[1], m)
    count = p.batch * high * wide
    c_blocks, k_blocks = ceil_div(p.channels, v), ceil_div(p.filters, v)
    weights = 4 * (m + 2) ** 2 * c_blocks * k_blocks * v * v
    products = count * (m + 2) ** 2 * c_blocks * v * k_blocks / (0.9 * 16 / v)
    parts = 1 if tiling is None else ceil_div(k_blocks, tiling.columns * tiling.blocks)
    transforms = count * (c_blocks * parts + k_blocks) * (200 if m == 4 else 130)
    group = 16 if tiling is None else tiling.tiles * tiling.subtiles
    narrow = 1.0 if tiling is None or tiling.columns > 1 or c_blocks * k_blocks == 1 else 1.05
    if 4 * (m + 2) ** 2 * group * c_blocks * v > target.l2:
        narrow *= 1.25  # transformed images fall out of the second cache
    return max(products + transforms, _streamed(weights, ceil_div(count, group), target)) * narrow


def _streamed(weights: int, groups: int, target: Target) -> float:
    """The reading of weights by each of `groups` work-groups, where they do not stay in the second cache: the first time
    from memory, then from the last cache if that holds them."""
    if weights <= target.l2 // 2:
        return 0.0
    from_cache, from_memory = target.rates
    again = from_cache if weights <= target.l3 else from_memory
    return weights / from_memory + (groups - 1) * weights / again
