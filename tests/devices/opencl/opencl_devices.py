"""The OpenCL devices that tests run on, and how near results must be."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from flownet.devices.opencl.platforms import found_devices

# Sums are taken in another order, products contracted into multiply-adds, and `exp` and its kin are the driver's (OpenCL allows them 3 to 16
# units in the last place, -cl-fast-relaxed-math more): 2e-5 of the largest element covers it, and is far below any wrong term.
RELATIVE = 2e-5


def device_ids():
    """Names of all devices; one that skips where there is none."""
    found = [device.id for device in found_devices()]
    return found or [pytest.param("none", marks=pytest.mark.skip(reason="no OpenCL device on this machine"))]


@functools.cache
def opened(name):
    from flownet.devices.opencl.device import OpenCL

    return OpenCL(name, fallback="cpu")


def close(got, want, what=""):
    """Assert that the arrays are equal within `RELATIVE` of the largest element; integers exactly."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype, (what, got.shape, want.shape, got.dtype, want.dtype)
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
    np.testing.assert_allclose(got, want, rtol=RELATIVE, atol=RELATIVE * float(scale), err_msg=what)
