"""Every kernel family on a device against NumPy, on small problems with awkward sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from flownet.devices.opencl.other_process import OtherProcess, ProcessEnded
from flownet.errors import FlownetError
from flownet.graph import Builder, Graph, Value
from flownet.types import DType, TensorType

__all__ = ["FAMILIES", "selftest", "serve"]

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


def _unpooling(g: Builder) -> Value:
    from flownet.ops.pooling.max_pool import MaxPool
    from flownet.ops.pooling.max_unpool import MaxUnpool

    x = g.input("x", TensorType(DType.float32, (2, 19, 12, 12)))
    return g.add(MaxUnpool(2), *g.add(MaxPool(2), x))


def _transposed(g: Builder) -> Value:
    from flownet.ops.convolution.conv_transpose2d import ConvTranspose2d

    x = g.input("x", TensorType(DType.float32, (2, 20, 7, 7)))
    return g.add(ConvTranspose2d(18, kernel=4, stride=2, padding=1), x)


def _copies(g: Builder) -> Value:
    from flownet.ops.shape.pad import Pad
    from flownet.ops.shape.transpose import Transpose

    x = g.input("x", TensorType(DType.float32, (3, 5, 17)))
    return g.add(Transpose((2, 0, 1)), g.add(Pad(((1, 2), (3, 1)), "reflect"), x))


def _cross_entropy(g: Builder) -> Value:
    from flownet.ops.loss.cross_entropy import CrossEntropy

    x = g.input("x", TensorType(DType.float32, (9, 21)))
    return g.add(CrossEntropy(), x, g.constant(np.arange(9, dtype=np.int32) * 2))


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
    "cross entropy": _cross_entropy,
    "batch norm": _batch_norm,
    "pooling": _pool,
    "unpooling": _unpooling,
    "copies": _copies,
    "convolution 3x3": lambda g: _conv(g, 32, 32, 12, kernel=3, padding=1),
    "convolution 5x5": lambda g: _conv(g, 20, 18, 11, kernel=5, padding=2),
    "convolution stride 2": lambda g: _conv(g, 16, 32, 11, kernel=3, padding=1, stride=2),
    "convolution few channels": lambda g: _conv(g, 3, 16, 13, kernel=3, padding=1),
    "convolution transposed": _transposed,
    "convolution depthwise": lambda g: _conv(g, 24, 24, 9, kernel=3, padding=1, groups=24),
}


def selftest(name: str) -> dict[str, str]:
    """Kernel family -> "ok", or what is wrong with it. Forward and, through the sum of the results, all gradients.

    Of convolutions every candidate is tried, also those that are not the first choice; one that is wrong is set aside for good, and
    the family is looked at again with the next one. A family that is wrong all the same is kept as the device's failure; one that
    ends the process that rehearses it, too.
    """
    from flownet.devices.opencl.device import OpenCL

    found: dict[str, str] = {}
    failures: dict[str, str] = {}
    device: Any = None
    rehearsal = _rehearsal(name)
    for family, build in FAMILIES.items():
        if end := _end_of(rehearsal, family):
            found[family] = failures[family] = f"failed: ends the process that tries it: {end}"
            continue
        try:
            device = device or OpenCL(name, fallback="error")
        except FlownetError as error:
            return {**found, "device": error.diagnostics[0].message}  # it is set aside as it is opened
        code = ""
        try:
            found[family] = _examined(device, family, build)
        except FlownetError as error:
            code = error.diagnostics[0].code
            found[family] = f"failed: {error.diagnostics[0].message}"
        if not found[family].startswith("ok") and code != "out-of-memory":
            failures[family] = found[family]
        if code == "device-failed":  # nothing runs in its context any more, perhaps
            device = None
    try:
        tuning = (device or OpenCL(name, fallback="error")).tuning
    except FlownetError as error:
        return {**found, "device": error.diagnostics[0].message}
    if tuning.failures != failures:
        tuning.failures = failures
        tuning.save()
    return found


def _rehearsal(name: str) -> OtherProcess:
    return OtherProcess(__name__, name)


def _end_of(rehearsal: OtherProcess, family: str) -> ProcessEnded | None:
    """How the process crashed that ran the family, if it did."""
    try:
        rehearsal.send(family)
        rehearsal.receive()
    except ProcessEnded as end:
        return end if end.is_crash else None
    return None


def serve(connection: Any) -> None:
    """Run the families that are asked for, until nobody asks any more, in a process that they may end. What else goes wrong is not told."""
    from flownet.devices.opencl.device import OpenCL

    device = OpenCL(connection.recv())
    while True:
        try:
            family = connection.recv()
        except EOFError:
            return
        with contextlib.suppress(FlownetError):
            _compared(device, family, FAMILIES[family])
        connection.send("done")


def _examined(device: Any, family: str, build: Callable[[Builder], Value]) -> str:
    """How the family does, with the candidates that were set aside."""
    device.convolutions.clear()
    result = _compared(device, family, build)
    aside = [note for asked in list(device.convolutions) for note in device.tuning.check(*asked)]
    if aside:
        device.tuning.save()
        device.convolutions.clear()
        result = _compared(device, family, build)
    return "; ".join([result, *aside])


def _compared(device: Any, family: str, build: Callable[[Builder], Value]) -> str:
    """ "ok", or how far the device is from NumPy."""
    from flownet.devices.cpu.device import CPU
    from flownet.executor import Session
    from flownet.op import SumTo
    from flownet.passes.differentiate import differentiate
    from flownet.passes.expand_composites import expand_composites

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
    got = Session(device).run(graph, {"x": x})
    want = Session(CPU()).run(graph, {"x": x})
    scale = {n: max(float(np.abs(w).max()), 1.0) for n, w in want.items()}
    wrong = {n: float(np.abs(got[n] - want[n]).max()) / scale[n] for n in want}
    bad = {n: e for n, e in wrong.items() if not e < TOLERANCE}
    return "ok" if not bad else "wrong: " + ", ".join(f"{n} by {e:.1e}" for n, e in bad.items())
