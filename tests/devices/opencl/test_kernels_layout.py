"""Reorders against NumPy's own transposes."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl.kernels.direct import filter_shape
from flownet.devices.opencl.kernels.epilogue import evaluate
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.kernels.layout import block_image, reorder_filters, unblock_image
from flownet.devices.opencl.target import Target
from tests.devices.opencl.kernel_layouts import filters, to_blocked
from tests.devices.opencl.run_kernel import Runner

pytestmark = pytest.mark.opencl


@pytest.fixture(scope="module")
def run():
    return Runner()


@pytest.mark.parametrize("shape", [(2, 20, 5, 7), (1, 1, 1, 1), (3, 32, 4, 4)], ids=str)
def test_images_there_and_back(shape, run):
    target = Target.of(run.device)
    n, c, h, w = shape
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    blocked = run(block_image(n, c, h * w, target), X=x)["Y"]
    assert (blocked == to_blocked(x, target.vector).ravel()).all()
    assert (run(unblock_image(n, c, h * w, target), X=blocked)["Y"] == x.ravel()).all()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "p",
    [Convolution(1, 20, 9, 9, 40), Convolution(1, 12, 9, 9, 24, groups=4), Convolution(1, 6, 9, 9, 16, (5, 5), (2, 2))],
    ids=lambda p: p.label("p"),
)
def test_filters(p, transposed, run):
    target = Target.of(run.device)
    taps = TapConvolution.input_gradient(p) if transposed else TapConvolution.forward(p)
    w = np.random.default_rng(0).standard_normal((p.filters, p.channels // p.groups, *p.kernel)).astype(np.float32)
    found = run(reorder_filters(taps, 1, target, w.size, transposed=transposed), W=w)["F"]
    assert (found == filters(w, taps, filter_shape(taps, 1, target), target.vector, transposed).ravel()).all()


def test_calls_take_half_vectors_where_whole_ones_cannot_be_passed():
    target = Target(vector=16, registers=32, call_width=8)
    assert evaluate("y", "x + b", {"x", "b"}, set(), target) == ["const vec v_y = v_x + v_b;"]
    assert evaluate("y", "exp(x) * g + (vec)(1.0f)", {"x"}, {"g"}, target) == [
        "vec v_y;",
        "v_y.lo = exp(v_x.lo) * v_g + (hvec)(1.0f);",
        "v_y.hi = exp(v_x.hi) * v_g + (hvec)(1.0f);",
    ]
