"""GFLOP/s of every kernel family on the shapes of our workloads, beside the peak measured in the same run, and PyTorch
where it is installed.

    python benchmarks/kernels.py [--only TEXT] [--all] [--seconds 0.3]

One line a shape and direction: the candidate that the model puts first (`--all`: every candidate), its rate by the
definition's flops (a Winograd kernel may exceed the peak), its share of the FMA peak, and PyTorch's rate with as many
threads (the better of NCHW and channels_last). Runs are interleaved, ours and theirs in turns; the best of each
counts, since other processes only ever add time.
"""

from __future__ import annotations

import argparse
import time

import checkout  # noqa: F401  measure the flownet beside this folder
import numpy as np
import pyopencl as cl

from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.kernels.convolution import Convolution, candidates
from flownet.devices.opencl.kernels.matmul import Matmul, matmul
from flownet.devices.opencl.kernels.matmul import candidates as matmul_candidates
from flownet.devices.opencl.platforms import found_devices
from flownet.devices.opencl.target import Target

try:
    import torch
except ImportError:
    torch = None


def conv(n, c, size, k, kernel=3, stride=1, padding=None, planar=False):
    pad = (kernel // 2 if padding is None else padding,) * 2
    return Convolution(n, c, size, size, k, (kernel, kernel), (stride, stride), (pad, pad), planar=planar)


TRAINING = [
    ("CNN 3-32", conv(64, 3, 32, 32, planar=True)),
    ("CNN 32-32", conv(64, 32, 32, 32)),
    ("CNN 32-64", conv(64, 32, 16, 64)),
    ("CNN 64-64", conv(64, 64, 16, 64)),
    ("ResNet-20 16", conv(64, 16, 32, 16)),
    ("ResNet-20 32", conv(64, 32, 16, 32)),
    ("ResNet-20 64", conv(64, 64, 8, 64)),
    ("ResNet-20 16-32/2", conv(64, 16, 32, 32, stride=2)),
    ("ResNet-20 32-64/2", conv(64, 32, 16, 64, stride=2)),
    ("deconv 32-64", conv(8, 32, 48, 64)),
    ("deconv 64-128", conv(8, 64, 24, 128)),
    ("LeNet-5 1-6", conv(64, 1, 28, 6, 5, padding=2, planar=True)),
    ("LeNet-5 6-16", conv(64, 6, 14, 16, 5, padding=0)),
]
INFERENCE = [
    ("ResNet-50 stem", conv(1, 3, 224, 64, 7, 2, planar=True)),
    ("ResNet-50 64 1x1", conv(1, 64, 56, 64, 1)),
    ("ResNet-50 256-64 1x1", conv(1, 256, 56, 64, 1)),
    ("ResNet-50 256-1024 1x1", conv(1, 256, 14, 1024, 1)),
    ("ResNet-50 64", conv(1, 64, 56, 64)),
    ("ResNet-50 128", conv(1, 128, 28, 128)),
    ("ResNet-50 256", conv(1, 256, 14, 256)),
    ("ResNet-50 512", conv(1, 512, 7, 512)),
    ("VGG-19 64", conv(1, 64, 224, 64)),
    ("VGG-19 256", conv(1, 256, 56, 256)),
    ("VGG-19 512", conv(1, 512, 28, 512)),
    ("VGG-19 512 last", conv(1, 512, 14, 512)),
]
PRODUCTS = [
    ("MLP 784-256", Matmul(64, 256, 784, False, True)),
    ("MLP dx", Matmul(64, 784, 256)),
    ("MLP dw", Matmul(256, 784, 64, True, False)),
    ("MLP 256-128", Matmul(64, 128, 256, False, True)),
    ("1024 cubed", Matmul(1024, 1024, 1024)),
    ("VGG-19 dense, one row", Matmul(1, 4096, 25088, False, True)),
]


class Bench:
    """Launches kernels on one device and times them."""

    def __init__(self, seconds: float) -> None:
        device = found_devices()[0].handle
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context)
        self.target = Target.of(device)
        self.seconds = seconds
        print(f"{device.platform.version.strip()}, {device.name}, {self.target.units} units, float{self.target.vector}")

    def runner(self, kernels):
        """A function that runs `kernels` over random buffers and waits."""
        buffers, launches = {}, []
        for kernel in kernels:
            for a in kernel.arguments:
                if a.name not in buffers:
                    data = np.random.default_rng(0).standard_normal(a.size).astype(np.float32)
                    buffers[a.name] = cl.Buffer(self.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=data)
            program = cl.Program(self.context, kernel.source()).build(Target.build_options)
            built = cl.Kernel(program, kernel.name)
            built.set_args(*[buffers[a.name] for a in kernel.arguments])
            launches.append((built, kernel.global_size(), kernel.local))

        def run(times, alive=buffers):  # OpenCL does not keep the buffers of a kernel's arguments alive
            for _ in range(times):
                for built, size, local in launches:
                    cl.enqueue_nd_range_kernel(self.queue, built, size, local)
            self.queue.finish()

        return run

    def best(self, *runs):
        """Least seconds of one run of each, taken in turns."""
        repeats, best = [], [float("inf")] * len(runs)
        for run in runs:
            run(1)
            start = time.perf_counter()
            run(1)
            repeats.append(max(1, int(2e-3 / (time.perf_counter() - start))))
        end = time.perf_counter() + self.seconds * len(runs)
        while time.perf_counter() < end:
            for i, run in enumerate(runs):
                time.sleep(0.01)  # OpenMP's threads spin for some milliseconds after their work: not into our turn
                start = time.perf_counter()
                run(repeats[i])
                best[i] = min(best[i], (time.perf_counter() - start) / repeats[i])
        return best


def torch_convolution(p, direction):
    """Functions that compute a direction in PyTorch: plain and channels_last."""
    pad = (p.padding[0][0], p.padding[1][0])
    runs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(p.batch, p.channels, p.height, p.width).to(memory_format=layout)
        w = torch.randn(p.filters, p.channels // p.groups, *p.kernel).to(memory_format=layout)
        dy = torch.randn(p.batch, p.filters, *p.output).to(memory_format=layout)
        mask = (direction == "input_gradient", direction == "weight_gradient", False)

        def run(times, x=x, w=w, dy=dy, mask=mask):
            with torch.no_grad():
                for _ in range(times):
                    if direction == "forward":
                        torch.nn.functional.conv2d(x, w, None, p.stride, pad, p.dilation, p.groups)
                    else:
                        torch.ops.aten.convolution_backward(
                            dy, x, w, None, p.stride, pad, p.dilation, False, (0, 0), p.groups, mask
                        )

        runs.append(run)
    return runs


def torch_matmul(p):
    a = torch.randn(p.k, p.m).T if p.transposed_a else torch.randn(p.m, p.k)
    b = torch.randn(p.n, p.k).T if p.transposed_b else torch.randn(p.k, p.n)

    def run(times):
        for _ in range(times):
            a @ b

    return [run]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", help="shapes whose name has this text")
    options.add_argument("--all", action="store_true", help="every candidate, not the first alone")
    options.add_argument("--seconds", type=float, default=0.3, help="time for each measurement")
    options = options.parse_args()
    bench = Bench(options.seconds)
    if torch:
        torch.set_num_threads(bench.target.units)
    peak = OpenCL().peak_gflops()
    print(f"FMA peak {peak:.0f} GFLOP/s")
    print(f"{'shape':24}{'direction':17}{'ms':>9}{'GFLOP/s':>9}{'of peak':>9}{'PyTorch':>9}{'times':>7}  variant")

    def report(name, direction, flops, choices, peers):
        for i, (kernels, variant) in enumerate(choices):
            ours, *theirs = bench.best(bench.runner(kernels), *(peers if i == 0 else []))
            line = f"{name:24}{direction:17}{ours * 1e3:9.3f}{flops / ours / 1e9:9.0f}{flops / ours / 1e9 / peak:9.0%}"
            line += f"{flops / min(theirs) / 1e9:9.0f}{min(theirs) / ours:7.2f}" if theirs else " " * 16
            print(f"{line}  {variant}", flush=True)

    for name, p in PRODUCTS:
        if options.only.lower() in name.lower():
            tiles = matmul_candidates(p, bench.target)[: None if options.all else 1]
            kernels = [matmul(p, bench.target, tile=tile) for tile in tiles]
            report(name, "matmul", p.flops, [([k], k.variant) for k in kernels], torch_matmul(p) if torch else [])
    for name, p in [*TRAINING, *INFERENCE]:
        if options.only.lower() not in name.lower():
            continue
        for direction in ("forward", "input_gradient", "weight_gradient"):
            if direction != "forward" and (p.batch == 1 or (p.planar and direction == "input_gradient")):
                continue
            choices = []
            for choice in candidates(p, direction, bench.target)[: None if options.all else 1]:
                kernels = choice.gradient().kernels if direction == "weight_gradient" else (choice.compute(),)
                choices.append((kernels, kernels[0].variant))
            report(name, direction, p.flops, choices, torch_convolution(p, direction) if torch else [])


if __name__ == "__main__":
    main()
