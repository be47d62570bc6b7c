"""Binaries are built once: a second start finds them, another source, driver or option does not."""

from __future__ import annotations

import pytest

from flownet.devices.opencl.kernels.convolution import Convolution, candidates
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.tuning import Tuning
from tests.devices.opencl.opencl_devices import device_ids

pytestmark = pytest.mark.opencl
SOURCE = "__kernel void add(__global float* x) { x[get_global_id(0)] += %d; }"


@pytest.fixture(params=device_ids())
def runtime(request, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path))
    runtime = Runtime(find(request.param))
    runtime.keeps_binaries = False  # as with a driver that has no cache of its own
    runtime.built = 0
    return runtime


def test_the_second_start_builds_none(runtime):
    runtime.build(SOURCE % 1, "a test")
    assert runtime.built == 1
    runtime.build(SOURCE % 1, "a test")
    assert runtime.built == 1
    runtime.build(SOURCE % 2, "a test")
    runtime.build(SOURCE % 1, "a test", "-cl-std=CL1.2")
    assert runtime.built == 3


def test_a_damaged_binary_is_built_anew(runtime, tmp_path):
    folder = tmp_path / "opencl"
    before = set(folder.iterdir()) if folder.exists() else set()  # the device's own self-tests
    runtime.build(SOURCE % 1, "a test")
    (file,) = set(folder.iterdir()) - before
    file.write_bytes(b"not a binary")
    runtime.build(SOURCE % 1, "a test")
    assert runtime.built == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(runtime, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "file" / "below"))
    runtime.build(SOURCE % 1, "a test")
    runtime.build(SOURCE % 1, "a test")
    assert runtime.built == 2


def test_tuning_is_kept_for_the_device(runtime):
    problem = Convolution(2, 16, 8, 8, 16, padding=((1, 1), (1, 1)))
    tuning = Tuning(runtime)
    results = tuning.tune(problem, "forward")
    assert len(results) == len(candidates(problem, "forward", runtime.target))
    tuning.save()
    again = Tuning(runtime)
    fastest = min((r for r in results if not r[2]), key=lambda r: r[1])[0]
    choice = again.choose(problem, "forward")
    assert f"{choice.family} {choice.shape}" == fastest
    (tuning.path).write_text("{broken")
    assert Tuning(runtime).chosen == {}
