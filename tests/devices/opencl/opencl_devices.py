"""The OpenCL devices that tests run on, and how near results must be."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from flownet.devices.opencl.platforms import found_devices
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.target import Target

# Sums are taken in another order, products contracted into multiply-adds, and `exp` and its kin are the driver's (OpenCL allows them 3 to 16
# units in the last place, -cl-fast-relaxed-math more): 2e-5 of the largest element covers it, and is far below any wrong term.
RELATIVE = 2e-5


AS_GPU = "first as a GPU"  # what is generated for GPUs is right on every device, and so tested on every machine
APART = "first as a GPU with memory of its own"  # whose inputs and outputs are copied


def device_ids():
    """Names of all devices; one that skips where there is none."""
    found = [device.id for device in found_devices()]
    return found or [pytest.param("none", marks=pytest.mark.skip(reason="no OpenCL device on this machine"))]


def device_ids_and_gpu():
    """The same, and the first device as if it were a GPU."""
    return [*device_ids(), AS_GPU] if found_devices() else device_ids()


def device_ids_and_gpus():
    """The same, and the first device as if it were a GPU with memory of its own."""
    return [*device_ids_and_gpu(), APART] if found_devices() else device_ids()


@functools.cache
def opened(name):
    from flownet.devices.opencl.device import OpenCL

    if name not in (AS_GPU, APART):
        return OpenCL(name, fallback="cpu")
    with pytest.MonkeyPatch.context() as patch:
        if name == APART:
            patch.setattr(Runtime, "_really_shares_memory", lambda self: False)
        patch.setattr(Target, "of", classmethod(lambda cls, device: cls("gpu", 4, 64, units=8, call_width=16)))
        return OpenCL("opencl", fallback="cpu")


def close(got, want, what=""):
    """Assert that the arrays are equal within `RELATIVE` of the largest element; integers exactly."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype, (what, got.shape, want.shape, got.dtype, want.dtype)
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
    np.testing.assert_allclose(got, want, rtol=RELATIVE, atol=RELATIVE * float(scale), err_msg=what)
