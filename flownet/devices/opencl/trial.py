"""A convolution's candidate tried on numbers: what it takes, and how far it is from what NumPy computes.

Before, it is rehearsed in a process of its own (`serve`): one that ends its process must not end the user's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.kernels.kernel import Kernel
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError
from flownet.kernels import Convolution2D, ConvolutionInputGradient, ConvolutionWeightGradient
from flownet.kernels.layout import block

__all__ = ["Trial", "serve"]

_OPS = {
    "forward": Convolution2D,
    "input_gradient": ConvolutionInputGradient,
    "weight_gradient": ConvolutionWeightGradient,
}


class Trial:
    """A problem with inputs, and its result as the kernel op in NumPy has it."""

    def __init__(self, problem: Convolution, direction: str, target: Target) -> None:
        p, v = problem, target.vector if target.kind == "cpu" else 0
        op = _OPS[direction](
            p.kernel, p.stride, p.padding, p.dilation, p.groups, p.channels, p.filters, (p.height, p.width), v, p.planar
        )
        random = np.random.default_rng(0)

        def image(channels: int, size: tuple[int, int], blocked: bool) -> np.ndarray:
            plain = random.standard_normal((p.batch, channels, *size)).astype(np.float32)
            return block(plain, v) if blocked else plain

        x = image(p.channels, (p.height, p.width), bool(v) and not p.planar)
        dy = image(p.filters, p.output, bool(v))
        w = random.standard_normal((p.filters, p.channels // p.groups, *p.kernel)).astype(np.float32)
        self.arrays: Mapping[str, np.ndarray]
        if direction == "weight_gradient":
            self.arrays, self.out, self.want = {"X": x, "dY": dy}, "dW", op.forward(x, dy)
        elif direction == "forward":
            self.arrays, self.out, self.want = {"X": x, "W": w}, "Y", op.forward(x, w)
        else:
            self.arrays, self.out, self.want = {"X": dy, "W": w}, "Y", op.forward(dy, w)

    def run(self, choice: Choice, runtime: Runtime, seconds: float = 0.0) -> tuple[float, float]:
        """(least seconds of a run within `seconds`, largest error in parts of the largest element).

        The preparation of weights is not timed: it is done once for many runs. Raises FlownetError where a kernel does not build
        or does not run.
        """
        with runtime.guarded(f"while it tried {choice.family} {choice.shape}"):
            return self._run(choice, runtime, seconds)

    def _run(self, choice: Choice, runtime: Runtime, seconds: float) -> tuple[float, float]:
        cl = runtime.cl
        if choice.direction == "weight_gradient":
            kernels = timed = list(choice.gradient().kernels)
        else:
            prepare, timed = choice.prepare(), [choice.compute()]
            kernels = [*([prepare] if prepare else []), *timed]
        buffers: dict[str, Any] = {}
        for argument in (a for kernel in kernels for a in kernel.arguments):
            if argument.name not in buffers:
                given = self.arrays.get(argument.name)
                start = np.full(argument.size, np.nan, np.float32) if given is None else given.reshape(-1)
                assert start.size == argument.size, f"{argument.name} has {start.size} elements for {argument.size}"
                buffers[argument.name] = runtime.buffer_of(start)
        launches = {id(kernel): self._launch(kernel, buffers, runtime) for kernel in kernels}

        def run(these: list[Kernel]) -> None:
            for kernel in these:
                cl.enqueue_nd_range_kernel(runtime.queue, launches[id(kernel)], kernel.global_size(), kernel.local)
            runtime.queue.finish()

        run(kernels)
        got = np.empty(self.want.size, np.float32)
        cl.enqueue_copy(runtime.queue, got, buffers[self.out])
        error = float(np.abs(got - self.want.reshape(-1)).max()) / (float(np.abs(self.want).max()) or 1.0)
        least, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start_time = time.perf_counter()
            run(timed)
            least = min(least, time.perf_counter() - start_time)
        return least, error if np.isfinite(error) else float("inf")

    @staticmethod
    def _launch(kernel: Kernel, buffers: Mapping[str, Any], runtime: Runtime) -> Any:
        built = runtime.cl.Kernel(runtime.build(kernel.source(), kernel.name), kernel.name)
        built.set_args(*[buffers[a.name] for a in kernel.arguments])
        return built


def serve(connection: Any) -> None:
    """Run the candidates that are asked for, (problem, direction, number of the candidate), until nobody asks any more.

    What else goes wrong is not told: whoever asks tries them next.
    """
    name, target = connection.recv()
    runtime = Runtime(find(name))
    while True:
        try:
            problem, direction, number = connection.recv()
        except EOFError:
            return
        with contextlib.suppress(FlownetError):
            Trial(problem, direction, target).run(candidates(problem, direction, target)[number], runtime)
        connection.send("done")
