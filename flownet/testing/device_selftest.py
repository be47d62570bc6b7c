"""Every kernel family on a device against NumPy, on small problems with awkward sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph, Value
from flownet.types import DType, TensorType

__all__ = ["FAMILIES", "selftest"]

TOLERANCE = 1e-4  # of the largest element: Winograd's F(4x4) is good to 1e-5, a wrong kernel is off by far more


def _conv(g: Builder, channels: int, filters: int, size: int, **attributes) -> Value:
    from flownet.ops.convolution.conv2d import Conv2d

    x = g.input("x", TensorType(DType.float32, (2, channels, size, size)))
    return g.add(Conv2d(filters, **attributes), x)


def _dense(g: Builder) -> Value:
    from flownet.ops.linear.dense import Dense

    return g.add(Dense(37), g.input("x", TensorType(DType.float32, (9, 53))))


def _softmax(g: Builder) -> Value:
    from flownet.ops.activation.softmax import Softmax

    return g.add(Softmax(), g.input("x", TensorType(DType.float32, (7, 33))))


def _pool(g: Builder) -> Value:
    from flownet.ops.pooling.max_pool import MaxPool

    return g.add(MaxPool(3, 2, 1), g.input("x", TensorType(DType.float32, (2, 19, 11, 11))))[0]


def _elementwise(g: Builder) -> Value:
    from flownet.expression import parse
    from flownet.op import Elementwise

    x = g.input("x", TensorType(DType.float32, (5, 67)))
    return g.add(Elementwise((("y", parse("tanh(x) + exp(-abs(x)) * maximum(x, 0.1)")),), ("x",)), x=x)


def _batch_norm(g: Builder) -> Value:
    from flownet.ops.normalisation.batch_norm import BatchNorm

    return g.add(BatchNorm(), g.input("x", TensorType(DType.float32, (4, 19, 5, 5))))[0]


FAMILIES: dict[str, Callable[[Builder], Value]] = {
    "elementwise": _elementwise,
    "matrix product": _dense,
    "reduction, softmax": _softmax,
    "batch norm": _batch_norm,
    "pooling": _pool,
    "convolution 3x3": lambda g: _conv(g, 32, 32, 12, kernel=3, padding=1),
    "convolution 5x5": lambda g: _conv(g, 20, 18, 11, kernel=5, padding=2),
    "convolution stride 2": lambda g: _conv(g, 16, 32, 11, kernel=3, padding=1, stride=2),
    "convolution few channels": lambda g: _conv(g, 3, 16, 13, kernel=3, padding=1),
    "convolution depthwise": lambda g: _conv(g, 24, 24, 9, kernel=3, padding=1, groups=24),
}


def selftest(name: str) -> dict[str, str]:
    """Kernel family -> "ok", or what is wrong with it. Forward and, through a training loss, all gradients.

    Of convolutions every candidate is tried, also those that are not the first choice; one that is wrong is set aside for good.
    """
    from flownet.devices.cpu.device import CPU
    from flownet.devices.opencl.device import OpenCL
    from flownet.executor import Session
    from flownet.op import SumTo
    from flownet.passes.differentiate import differentiate
    from flownet.passes.expand_composites import expand_composites

    try:
        device = OpenCL(name, fallback="error")
    except FlownetError as error:
        return {"device": error.diagnostics[0].message}
    found = {}
    for family, build in FAMILIES.items():
        graph = Graph(family)
        g = Builder(graph)
        y = build(g)
        total = g.add(SumTo(()), y)
        graph = expand_composites(graph)
        wrt = [v.name for v in (*graph.inputs, *graph.parameters)]
        graph, gradients = differentiate(graph, total.name, wrt)
        graph.outputs = {"y": y.name, **{f"d{n}": gradients[n] for n in wrt}}
        graph.updates = {}
        x = np.random.default_rng(0).standard_normal(tuple(graph.values["x"].type.shape)).astype(np.float32)  # type: ignore[arg-type]
        try:
            got = Session(device).run(graph, {"x": x})
            want = Session(CPU()).run(graph, {"x": x})
            scale = {n: max(float(np.abs(w).max()), 1.0) for n, w in want.items()}
            wrong = {n: float(np.abs(got[n] - want[n]).max()) / scale[n] for n in want}
            bad = {n: e for n, e in wrong.items() if not e < TOLERANCE}
            found[family] = "ok" if not bad else "wrong: " + ", ".join(f"{n} by {e:.1e}" for n, e in bad.items())
            aside = [note for asked in device.convolutions for note in device.tuning.check(*asked)]
            if aside:
                found[family] += "; " + "; ".join(aside)
                device.tuning.save()
            device.convolutions.clear()
        except FlownetError as error:
            found[family] = f"failed: {error.diagnostics[0].message}"
    return found
