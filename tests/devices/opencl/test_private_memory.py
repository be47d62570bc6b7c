"""What a work-group of a CPU keeps to itself lies on a thread's stack: more than that has ended the process."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.kernels.convolution import Convolution, candidates
from flownet.devices.opencl.kernels.matmul import Matmul, matmul, reduce_splits
from flownet.devices.opencl.kernels.matmul import candidates as matmul_candidates
from flownet.devices.opencl.target import Target
from flownet.errors import DiagnosticWarning, FlownetError
from flownet.executor import Session
from tests.devices.opencl.opencl_devices import close, device_ids
from tests.devices.opencl.run_kernel import Runner
from tests.devices.opencl.test_random_shapes import with_gradients
from tests.passes.small_networks import op

FEW = 1 << 14  # bytes


def kept(kernel):
    """Bytes of the arrays that a work-group declares."""
    return sum(4 * int(size) for size in re.findall(r"^float \w+\[(\d+)\]", "\n".join(kernel.body), re.MULTILINE))


@pytest.mark.opencl
@pytest.mark.parametrize("packed", [False, True], ids=["panel", "packed"])
@pytest.mark.parametrize("k", [2000, 4 * 512])
def test_a_long_sum_is_cut(k, packed):
    """40,000 rows of a batch in a dense layer's weight gradient took 10 MB."""
    target = dataclasses.replace(Target(), private_bytes=FEW)
    a, b = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((33, k), (k, 41)))
    p = Matmul(33, 41, k)
    for tile in matmul_candidates(p, target, packed=packed):
        first = matmul(p, target, tile=tile)
        assert kept(first) <= FEW, tile
        if not packed:
            run = Runner()
            parts = run(first, A=a, B=b)["C"]
            out = run(reduce_splits(p, tile.splits, target), P=parts)["C"] if tile.splits > 1 else parts
            np.testing.assert_allclose(out.reshape(33, 41), a.astype(np.float64) @ b, atol=1e-3)


@pytest.mark.parametrize("direction", ["forward", "input_gradient", "weight_gradient"])
@pytest.mark.parametrize("size", [(1, 40), (1, 400), (20, 60)], ids=str)
@pytest.mark.parametrize("channels", [3, 64])
def test_no_convolution_keeps_more(channels, size, direction):
    """128 channels of a signal of 40,000 samples took 20 MB; where no kernel can do with less there is none."""
    target = dataclasses.replace(Target(), private_bytes=FEW)
    kernel, padding = ((1, 3), ((0, 0), (1, 1))) if size[0] == 1 else ((3, 3), ((1, 1), (1, 1)))
    planar = channels == 3 and direction != "input_gradient"
    p = Convolution(1, channels, *size, 32, kernel, padding=padding, planar=planar)
    for choice in candidates(p, direction, target):
        kernels = choice.gradient().kernels if direction == "weight_gradient" else (choice.compute(),)
        assert max(map(kept, kernels)) <= FEW, choice
    assert not planar or candidates(p, direction, target)


@pytest.fixture
def few(monkeypatch):
    whole = Target.of.__func__
    monkeypatch.setattr(
        Target, "of", classmethod(lambda cls, device: dataclasses.replace(whole(cls, device), private_bytes=FEW))
    )


def wide():
    x = np.random.default_rng(0).standard_normal((1, 64, 1, 400)).astype(np.float32)
    convolution = op("conv2d", channels=5, kernel=(1, 3), padding=(0, 1))
    return with_gradients([("out", convolution, {"x": "x"})], {"x": x}), {"x": x}


@pytest.mark.opencl
@pytest.mark.parametrize("device", device_ids()[:1])
def test_numpy_computes_what_is_too_wide_and_a_warning_says_so(device, few):
    graph, arrays = wide()
    with pytest.warns(DiagnosticWarning, match="one row of its image is more than a work-group's memory holds"):
        got = Session(OpenCL(device), seed=1).run(graph, arrays)
    for name, want in Session(CPU(), seed=1).run(graph, arrays).items():
        close(got[name], want, name)


@pytest.mark.opencl
@pytest.mark.parametrize("device", device_ids()[:1])
def test_what_is_too_wide_is_refused_where_numpy_may_not_compute_it(device, few):
    graph, arrays = wide()
    with pytest.raises(FlownetError, match="the device has no kernel for a convolution of 64 channels of 1x400"):
        Session(OpenCL(device, fallback="error"), seed=1).run(graph, arrays)
