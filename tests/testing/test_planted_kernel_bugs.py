"""The harness finds what is wrong with a plugin's OpenCL C: races, accesses out of bounds, mistakes at other sizes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flownet import hookimpl
from flownet.errors import FlownetError
from flownet.kernels import Template
from flownet.registry import Registry
from flownet.testing import check_op, render
from flownet.testing.on_device import device_of
from tests.testing.planted_kernel_bugs import CLEAN_KERNELS, KERNEL_BUGS

pytestmark = [pytest.mark.opencl, pytest.mark.slow]  # some hundred kernels to compile


@pytest.fixture(scope="module", autouse=True)
def _needs_a_device():
    try:
        device_of("opencl")
    except FlownetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("op", KERNEL_BUGS, ids=lambda op: op.__name__)
def test_planted_kernel_bug_is_found(op):
    check, says = KERNEL_BUGS[op]
    report = check_op(op, "opencl", only=("kernel memory", "device"))
    assert [finding.check for finding in report.failures] == [check], render(report)
    assert says in report.failures[0].detail, render(report)


@pytest.mark.parametrize("op", KERNEL_BUGS, ids=lambda op: op.__name__)
def test_planted_op_is_right_in_numpy(op):
    report = check_op(op, "cpu", only=("forward", "gradient", "device"))
    assert report.passed, render(report)


@pytest.mark.parametrize("op", CLEAN_KERNELS, ids=lambda op: op.__name__)
def test_clean_kernel_passes(op):
    report = check_op(op, "opencl")
    assert report.passed, render(report)


def test_kernel_that_another_plugin_brings_is_checked():
    """By the hook `flownet_kernels`, for an op that has none; the registry knows of it."""

    def ahead(op, g, x):
        kernel = Template("ahead", ("x",), (("out", x.type),), "out[i] = 0.5f * x[i] + 0.5f * x[i + 1];", x.type.size)
        return g.add(kernel, x)

    class Bare(CLEAN_KERNELS[0]):
        """The op without kernels."""

        name = "bare"
        opencl = opencl_backward = None

    @hookimpl
    def flownet_kernels():
        return {"bare": ahead}

    registry = Registry(entry_points=False)
    assert "the op brings no OpenCL C" in str(check_op(Bare, "opencl", registry, only=("kernel memory",)))
    registry.register(SimpleNamespace(flownet_kernels=flownet_kernels), "theirs")
    (finding,) = check_op(Bare, "opencl", registry, only=("kernel memory",)).failures
    assert "the kernel `ahead` reads out of bounds: past the end of `x`" in finding.detail
