"""The OpenCL devices that tests run on, and how near results must be."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from flownet.devices.opencl import sub_groups
from flownet.devices.opencl.platforms import found_devices
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.sub_groups import offered_sub_groups
from flownet.devices.opencl.target import Target

# Sums are taken in another order, products contracted into multiply-adds, and `exp` and its kin are the driver's (OpenCL allows them 3 to 16
# units in the last place, -cl-fast-relaxed-math more): 2e-5 of the largest element covers it, and is far below any wrong term.
RELATIVE = 2e-5


AS_GPU = " as a GPU"  # what is generated for GPUs is right on every device, and so tested on every machine
WITHOUT_SHUFFLES, WITHOUT_SUB_GROUPS = " without shuffles", " without sub-groups"
APART = " with memory of its own"  # whose inputs and outputs are copied


def device_ids():
    """Names of all devices; one that skips where there is none."""
    found = [device.id for device in found_devices()]
    return found or [pytest.param("none", marks=pytest.mark.skip(reason="no OpenCL device on this machine"))]


def gpu_ids():
    """GPUs, and the first device as if it were one, with every other that has sub-groups: as they are, and as if they had fewer
    of those."""
    found = []
    for number, device in enumerate(found_devices()):
        ways = [way for way, _ in offered_sub_groups(device.handle)]
        if device.type == "gpu" or number == 0 or ways:
            name = device.id if device.type == "gpu" else device.id + AS_GPU
            found.append(name)
            found += [name + WITHOUT_SHUFFLES] if len(ways) > 1 else []
            found += [name + WITHOUT_SUB_GROUPS] if ways else []
    return found


def device_ids_and_gpu():
    """All devices, and what is a GPU in one way or other."""
    return list(dict.fromkeys([*device_ids(), *gpu_ids()]))


def device_ids_and_gpus():
    """The same, and the first device as if it were a GPU with memory of its own."""
    return [*device_ids_and_gpu(), found_devices()[0].id + AS_GPU + APART] if found_devices() else device_ids()


@functools.cache
def opened(name):
    from flownet.devices.opencl.device import OpenCL

    device, as_gpu, _ = name.partition(AS_GPU)
    for less in (WITHOUT_SHUFFLES, WITHOUT_SUB_GROUPS):
        device = device.removesuffix(less)
    with pytest.MonkeyPatch.context() as patch:
        if as_gpu:
            patch.setattr(Target, "of", classmethod(lambda cls, device: cls("gpu", 4, 64, units=8, call_width=16)))
        if name.endswith(APART):
            patch.setattr(Runtime, "_really_shares_memory", lambda self: False)
        if name.endswith(WITHOUT_SUB_GROUPS):
            patch.setattr(sub_groups, "offered_sub_groups", lambda device: [])
        if name.endswith(WITHOUT_SHUFFLES):
            patch.setattr(sub_groups, "offered_sub_groups", lambda device: offered_sub_groups(device)[1:])
        return OpenCL(device, fallback="cpu")


def close(got, want, what=""):
    """Assert that the arrays are equal within `RELATIVE` of the largest element; integers exactly."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype, (what, got.shape, want.shape, got.dtype, want.dtype)
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
    np.testing.assert_allclose(got, want, rtol=RELATIVE, atol=RELATIVE * float(scale), err_msg=what)
