"""NaN and infinity pass through kernels as they do through NumPy: a run that went wrong must not look right again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import evaluate, parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise, SumTo
from flownet.ops.arithmetic.mul import Mul
from flownet.ops.pooling.max_pool import MaxPool
from flownet.ops.reduction.max import Max
from flownet.ops.shape.pad import Pad
from flownet.ops.shape.upsample import Upsample
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened

pytestmark = [pytest.mark.opencl, pytest.mark.parametrize("device", device_ids_and_gpu())]

NAN, INF = np.nan, np.inf
# two whole vectors and a part of one, whatever the device's width
SPECIAL = np.resize(np.array([NAN, INF, -INF, 0.0, 1.0, -2.0, 200.0, -200.0, 3e38, 88.5, -88.5], np.float32), 37)
EXPRESSIONS = [
    "exp(x)", "tanh(x)", "erf(x)", "1 / (1 + exp(-x))", "log1p(exp(-abs(x))) + maximum(x, 0)", "maximum(x, 0)",
    "maximum(0, x)", "minimum(maximum(x, -1), 1)", "minimum(1, maximum(-1, x))", "where(x > 0, x, expm1(minimum(x, 0)))",
    "abs(x)", "sign(x)", "sqrt(x)", "log(x)", "x ** 2", "x ** 3", "x ** 0.5", "-x", "x > 0", "maximum(x, z)", "minimum(x, z)",
    "maximum(z, x)", "minimum(z, x)", "where(x == x, x, 7)",
]  # fmt: skip


def results(device: str, op, **arrays):
    g = Builder(Graph())
    values = {name: g.input(name, TensorType(DType.of(a.dtype), a.shape)) for name, a in arrays.items()}
    made = g.add(op, name="y", **values)
    g.graph.output(*(value.name for value in (made if isinstance(made, tuple) else (made,))))
    return list(Session(opened(device)).run(g.graph, arrays).values())


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_give_what_numpy_gives(device, text):
    expression = parse(text)
    arrays = {"x": SPECIAL} | ({"z": SPECIAL[::-1].copy()} if "z" in text else {})
    (got,) = results(device, Elementwise((("y", expression),), tuple(arrays)), **arrays)
    with np.errstate(all="ignore"):
        want = np.asarray(evaluate(expression, arrays), np.float32)
    # below 1.2e-38 are the numbers without a leading one, which kernels round to 0
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=3e-38)


def test_the_exponential_overflows_where_a_float_ends(device):
    x = np.array([88.3, 88.4, 88.72, 88.73, 89.0, 1e30, -87.0, -88.0, -1e30], np.float32)
    (got,) = results(device, Elementwise((("y", parse("exp(x)")),), ("x",)), x=x)
    want = [math.exp(float(each)) if each < 88.7228 else INF for each in np.minimum(x, 100)]
    # from 88.37 on the polynomial is used beyond the range that it was fitted to; e^-87 is the last that is not rounded to 0
    np.testing.assert_allclose(got, np.float32(want), rtol=1e-5, atol=2e-38)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1)])
def test_max_pool_gives_nan_for_a_window_with_nan(device, kernel, stride, padding):
    x = np.arange(2 * 64, dtype=np.float32).reshape(1, 2, 8, 8)
    x[0, 0, 2, 3], x[0, 0, 5, 5], x[0, 1, 6:, 6:], x[0, 1, 0, 0] = NAN, INF, -INF, NAN
    op = MaxPool(kernel, stride, padding)
    (y, indices), (want, places) = results(device, op, x=x), op.forward(x)
    np.testing.assert_array_equal(y, want)
    assert np.isnan(want).any()
    known = ~np.isnan(want)
    np.testing.assert_array_equal(indices[known], places[known])


@pytest.mark.parametrize("axis", [0, 1])
def test_the_maximum_along_an_axis_with_nan_is_nan(device, axis):
    x = np.arange(40 * 37, dtype=np.float32).reshape(40, 37)
    x[3, 5], x[7] = NAN, -INF
    (got,) = results(device, Max(axes=(axis,)), x=x)
    np.testing.assert_array_equal(got, x.max(axis))


RESAMPLED = [
    Upsample(2, "bilinear"), Upsample((1, 3), "bilinear"), Upsample((4, 1), "bilinear"),
    Pad(((1, 2), (3, 1)), "edge"), Pad(((2, 1), (0, 3)), "reflect"), Pad(((0, 0), (1, 2), (0, 0), (0, 0)), "reflect"),
]  # fmt: skip


@pytest.mark.parametrize("op", RESAMPLED, ids=str)
def test_nan_stays_with_what_is_made_of_it(device, op):
    """Each row and column of the result takes a few of the input's; the others' NaN are not its own."""
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 5, 6, 7)).astype(np.float32)
    dy = random.standard_normal(op.forward(x).shape).astype(np.float32)
    for array in (x, dy):
        array[0, 1, 2, 3], array[1, 4, 0, 0], array[1, 2, -1, -1] = NAN, INF, -INF
    g = Builder(Graph())
    given = [g.input(name, TensorType(DType.float32, array.shape)) for name, array in (("x", x), ("dy", dy))]
    y = g.add(op, given[0])
    total = g.add(SumTo(()), g.add(Mul(), y, given[1]))
    graph, gradients = differentiate(expand_composites(g.graph), total.name, ["x"])
    graph.outputs = {"y": y.name, "dx": gradients["x"]}
    with np.errstate(all="ignore"):
        want = Session(CPU()).run(graph, {"x": x, "dy": dy})
    got = Session(opened(device)).run(graph, {"x": x, "dy": dy})
    for name in ("y", "dx"):
        assert 0 < np.isnan(want[name]).sum() < 0.2 * want[name].size
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-5)


def test_a_border_around_a_long_signal(device):
    """A table of all elements by all elements would have 10 billion."""
    x = np.arange(100_000, dtype=np.float32)
    (got,) = results(device, Pad(((3, 2),), "reflect"), x=x)
    np.testing.assert_array_equal(got, [3, 2, 1, *x, 99_998, 99_997])
