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

The order follows a model of the time (`direct.cycles`, `winograd.cycles`). Measured on a Zen 4, on 2 cores with a
peak of 236 GFLOP/s: direct 200 to 222, Winograd F(4x4) 390 to 740, weight gradients 160 to 215 and 360 to 620
(`benchmarks/kernels.py` prints them).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flownet.devices.opencl.kernels import depthwise, direct, gpu, layout, winograd
from flownet.devices.opencl.kernels import weight_gradient as direct_gradient
from flownet.devices.opencl.kernels.cost import multiply_cycles
from flownet.devices.opencl.kernels.direct import filter_shape
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
            return "F", ceil_div(self.problem.channels, v) * max(1, len(self.taps.taps)) * v
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
        return direct.direct(self.taps, self.target, epilogue, self.shape, prologue)

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


@lru_cache(1024)  # nets repeat their layers
def candidates(p: Convolution, direction: str, target: Target) -> tuple[Choice, ...]:
    """Choices for a direction, the one that the model takes for the fastest first; none where a work-group of a CPU
    cannot hold what a row of the image needs."""
    assert direction in DIRECTIONS, direction
    if target.kind == "gpu":
        return (Choice(p, direction, target, "gpu", None, 0.0),)
    if depthwise.applies(p):
        return (Choice(p, direction, target, "depthwise", None, 0.0),)
    out = []
    if direction == "weight_gradient":
        for i, lanes in enumerate(direct_gradient.gradient_tiles(p, target)):
            out.append(Choice(p, direction, target, "direct", lanes, _gradient_cycles(p, target) * (1 + 0.02 * i)))
        if winograd.applies(TapConvolution.forward(p)):
            for tiling in winograd.gradient_tilings(p, target):
                work = winograd.gradient_cycles(p, tiling, target)
                out.append(Choice(p, direction, target, "winograd", tiling, work))
    else:
        taps = TapConvolution.input_gradient(p) if direction == "input_gradient" else TapConvolution.forward(p)
        for tile in direct.tiles(taps, target):
            out.append(Choice(p, direction, target, "direct", tile, direct.cycles(taps, tile, target)))
        if winograd.applies(taps):
            for wide in winograd.tilings(taps, target):
                out.append(Choice(p, direction, target, "winograd", wide, winograd.cycles(taps, wide, target)))
    return tuple(sorted(out, key=lambda choice: choice.cycles))


def _gradient_cycles(p: Convolution, target: Target) -> float:
    """The multiply-adds of a weight gradient."""
    v = target.vector
    channels = p.channels if p.planar else ceil_div(p.channels // p.groups, v) * v
    work = p.batch * product(p.output) * channels * ceil_div(p.filters, v) * product(p.kernel)
    return 1.12 * multiply_cycles(work, target)
