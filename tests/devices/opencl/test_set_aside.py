"""Devices and kernels that do not do what they say: each is named and set aside, and the next choice is taken and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import flownet
from flownet.cli.program import flownet as command
from flownet.devices.choose import choose_device
from flownet.devices.opencl import platforms
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.kernels.convolution import Convolution, candidates
from flownet.devices.opencl.other_process import OtherProcess
from flownet.devices.opencl.platforms import found_devices
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.target import Target
from flownet.devices.opencl.trial import Trial
from flownet.devices.opencl.tuning import Tuning
from flownet.errors import DiagnosticWarning, FlownetError, MachineError
from flownet.testing import device_selftest
from tests.devices.opencl.broken_driver import BAD_BUILD, BAD_CONTEXT, GONE, NO_MEMORY, Failing, cl_error

pytestmark = [
    pytest.mark.opencl,
    pytest.mark.skipif(not found_devices(), reason="no OpenCL device on this machine"),
]

XOR = "inputs: {x: 'float32[N, 2]'}\nnodes:\n  - dense: {units: 3}\n  - tanh\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What is set aside here is so nowhere else; PoCL's kernels are not kept there."""
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def two(monkeypatch):
    """The machine's first device twice, as opencl:0 and opencl:1."""
    first = found_devices()[0]
    pair = (replace(first, name="first"), replace(first, id="opencl:1", name="second"))
    monkeypatch.setattr(platforms, "_discovered", lambda: (pair, ()))
    return pair


def broken(monkeypatch, how, name="first"):
    """`how(runtime)` runs whenever the device of that name is tried."""
    honest = Runtime._computes

    def computes(self, target):
        return how(self) if self.found.name == name else honest(self, target)

    monkeypatch.setattr(Runtime, "_computes", computes)


def chosen(name):
    """The device, and the diagnostics of the warnings on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device = choose_device(name)
    return device, [w.message.diagnostic for w in caught if isinstance(w.message, DiagnosticWarning)]


def raised(error):
    raise error


LIES = {
    "wrong numbers": lambda runtime: False,
    "no launch": lambda runtime: raised(cl_error(BAD_CONTEXT)),
    "no memory": lambda runtime: raised(runtime.failed(cl_error(NO_MEMORY))),
    "gone": lambda runtime: raised(cl_error(GONE)),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", ["auto", "opencl"])
def test_the_next_device_is_taken_and_said(two, monkeypatch, lie, name):
    broken(monkeypatch, LIES[lie])
    device, (told,) = chosen(name)
    assert device.found.id == "opencl:1" and "opencl:0 was set aside" in device.reason
    assert told.code == "device-set-aside"
    assert "opencl:0 is set aside" in told.message and "first" in told.message and "opencl:1 is taken" in told.message


def test_numpy_is_taken_where_no_device_works(two, monkeypatch):
    monkeypatch.setattr(Runtime, "_computes", lambda self, target: False)
    device, told = chosen("auto")
    assert device.name == "cpu" and "no OpenCL device works" in device.reason
    assert [each.message.split()[0] for each in told] == ["opencl:0", "opencl:1"]
    assert all("NumPy is taken" in each.message for each in told)
    with pytest.raises(MachineError) as caught:
        choose_device("opencl")
    assert len(caught.value.diagnostics) == 2 and "--device cpu" in caught.value.diagnostics[0].help


def test_a_device_that_is_named_is_never_another(two, monkeypatch):
    broken(monkeypatch, LIES["wrong numbers"])
    with pytest.raises(FlownetError) as caught:
        choose_device("opencl:0")
    assert caught.value.diagnostics[0].code == "device-failed"


@pytest.mark.parametrize("name", ["Context", "CommandQueue", "Buffer", "Program", "Kernel", "enqueue_copy"])
def test_whatever_fails_at_the_opening_is_the_devices_failure(monkeypatch, name):
    import pyopencl as cl

    found = found_devices()[0]
    monkeypatch.setattr(cl, name, Failing(None, GONE))
    with pytest.raises(MachineError) as caught:
        Runtime(found)
    assert caught.value.diagnostics[0].code == "device-failed" and found.name in caught.value.diagnostics[0].message


def test_run_says_what_was_set_aside(two, monkeypatch, tmp_path):
    broken(monkeypatch, LIES["wrong numbers"])
    (tmp_path / "xor.yaml").write_text(XOR)
    result = CliRunner().invoke(command, ["run", str(tmp_path / "xor.yaml"), "-i", "x=[[0, 1]]", "--json"])
    assert result.exit_code == 0, result.stderr
    assert "warning[device-set-aside]: opencl:0 is set aside" in result.stderr
    assert "second" in json.loads(result.stdout)["device"]


# -- drivers -------------------------------------------------------------------------------------------------------------------


class Platform:
    """A driver that fails when it is asked for its devices."""

    name = "Broken Platform "

    def __init__(self, code):
        self.get_devices = Failing(None, code)


class Device:
    """A device that does not say what it is."""

    @property
    def name(self):
        raise cl_error(GONE)


@pytest.fixture
def beside(monkeypatch):
    """What is found where this platform stands before the machine's own."""
    import pyopencl as cl

    real = cl.get_platforms()

    def discovered(platform):
        monkeypatch.setattr(cl, "get_platforms", lambda: [platform, *real])
        return platforms._discovered.__wrapped__()

    return discovered


def test_a_broken_driver_is_named_and_the_others_are_used(beside):
    devices, problems = beside(Platform(GONE))
    assert [d.name for d in devices] == [d.name for d in found_devices()]
    assert len(problems) == 1 and "`Broken Platform`" in problems[0] and "DEVICE_NOT_AVAILABLE" in problems[0]


def test_a_driver_without_devices_is_no_problem(beside):
    assert beside(Platform(-1))[1] == ()  # DEVICE_NOT_FOUND


def test_a_device_that_does_not_say_what_it_is_does_not_hide_the_others(beside):
    platform = SimpleNamespace(name="Silent", get_devices=lambda: [Device()])
    devices, (problem,) = beside(platform)
    assert devices and "without a name" in problem


def test_a_loader_without_drivers_says_where_it_looked(monkeypatch):
    import pyopencl as cl

    monkeypatch.setattr(cl, "get_platforms", Failing(None, -1001))  # PLATFORM_NOT_FOUND_KHR
    monkeypatch.setenv("OCL_ICD_VENDORS", "/nowhere")
    nothing = platforms._discovered.__wrapped__()
    assert nothing[0] == () and "/nowhere" in nothing[1][0]
    monkeypatch.setattr(platforms, "_discovered", lambda: nothing)
    with pytest.raises(FlownetError) as caught:
        choose_device("opencl")
    (found,) = caught.value.diagnostics
    assert found.code == "no-device" and found.notes == nothing[1]
    device, told = chosen("auto")
    assert device.name == "cpu" and "/nowhere" in device.reason and not told


def reason_of_auto(**environment):
    """What a process of its own says of the device that `auto` takes."""
    code = "from flownet.devices.choose import choose_device as c; d = c('auto'); print(d.name, d.reason)"
    env = {**{k: v for k, v in os.environ.items() if k not in ("POCL_CACHE_DIR", "POCL_DEVICES")}, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


needs_pocl = pytest.mark.skipif(
    not any("Portable" in device.platform for device in found_devices()), reason="PoCL is not here"
)


@needs_pocl
def test_caches_that_cannot_be_written_to_cost_time_alone(tmp_path):
    """Those of PoCL, without which it has no devices, and of PyOpenCL, which fails where it launches a kernel."""
    (tmp_path / "file").write_text("")
    told = reason_of_auto(XDG_CACHE_HOME=str(tmp_path / "file"))
    assert told.startswith("opencl") and "PoCL cannot write to" in told and "POCL_CACHE_DIR" in told


@needs_pocl
def test_drivers_without_devices_are_named_where_there_is_no_other(tmp_path):
    if len({device.platform for device in found_devices()}) > 1:
        pytest.skip("another driver has devices")
    told = reason_of_auto(POCL_DEVICES="voodoo")
    assert told.startswith("cpu") and "`Portable Computing Language` has no devices" in told and "`voodoo`" in told


def test_a_group_size_that_a_gpu_only_says_it_has_is_found_at_the_opening(monkeypatch):
    import pyopencl as cl

    monkeypatch.setattr(Target, "of", classmethod(lambda cls, device: cls("gpu", 4, 64, units=8)))
    launch = cl.enqueue_nd_range_kernel

    def small(queue, kernel, size, local, *rest):
        if np.prod(local) > 64:
            raise cl_error(-54)  # INVALID_WORK_GROUP_SIZE
        return launch(queue, kernel, size, local, *rest)

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", small)
    with pytest.raises(MachineError) as caught:
        Runtime(found_devices()[0])
    assert "INVALID_WORK_GROUP_SIZE" in "".join(caught.value.diagnostics[0].notes)


def test_a_device_without_compute_units_has_one(monkeypatch):
    facts = {"max_compute_units": 0, "vendor": ""}
    import pyopencl as cl

    handle = SimpleNamespace(**facts, type=cl.device_type.CPU, platform=SimpleNamespace(name="", version=""))
    assert Target.of(handle).units == 1


# -- kernels -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    names = ("elementwise", "matrix product", "convolution 3x3")
    monkeypatch.setattr(device_selftest, "FAMILIES", {n: b for n, b in device_selftest.FAMILIES.items() if n in names})


def lying_about(monkeypatch, family, error=None):
    """The comparison of one family goes wrong."""
    honest = device_selftest._compared

    def compared(device, name, build):
        if name != family:
            return honest(device, name, build)
        if error is not None:
            raise error(device.runtime)
        return "wrong: y by 1.0e+00"

    monkeypatch.setattr(device_selftest, "_compared", compared)


def test_a_device_whose_kernels_are_wrong_is_set_aside_until_it_passes(monkeypatch, few, tmp_path):
    with monkeypatch.context() as patch:
        lying_about(patch, "matrix product")
        result = CliRunner().invoke(command, ["devices", "--selftest", "--json"])
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["devices"][1]["selftest"]["matrix product"] == "wrong: y by 1.0e+00"
    assert found["auto"] != "opencl:0"
    device, told = chosen("auto")
    assert getattr(device, "found", None) is None or device.found.id != "opencl:0"
    assert "failed its self-test" in told[0].message and any("matrix product" in note for note in told[0].notes)
    named, (warned,) = chosen("opencl:0")
    assert named.found.id == "opencl:0" and "since it was named" in warned.message
    assert CliRunner().invoke(command, ["devices", "--selftest"]).exit_code == 0
    assert chosen("auto")[0].found.id == "opencl:0"


def test_a_lack_of_memory_at_the_self_test_is_not_kept(monkeypatch, few):
    lying_about(monkeypatch, "matrix product", lambda runtime: runtime.failed(cl_error(NO_MEMORY)))
    found = device_selftest.selftest("opencl:0")
    assert found["matrix product"].startswith("failed:") and found["convolution 3x3"] == "ok"
    assert OpenCL("opencl:0").tuning.failures == {}


def test_a_family_that_takes_the_context_with_it_does_not_fail_the_others(monkeypatch, few):
    lying_about(monkeypatch, "matrix product", lambda runtime: runtime.failed(cl_error(BAD_CONTEXT)))
    found = device_selftest.selftest("opencl:0")
    assert found["elementwise"] == found["convolution 3x3"] == "ok"
    assert list(OpenCL("opencl:0").tuning.failures) == ["matrix product"]


def test_a_family_that_ends_its_process_fails_and_the_others_are_tried(monkeypatch, few):
    crashing = OtherProcess("tests.devices.opencl.crashing", ("SIGSEGV", "matrix product"))
    monkeypatch.setattr(device_selftest, "_rehearsal", lambda name: crashing)
    found = device_selftest.selftest("opencl:0")
    assert found["matrix product"] == "failed: ends the process that tries it: SIGSEGV"
    assert found["elementwise"] == found["convolution 3x3"] == "ok"
    assert list(OpenCL("opencl:0").tuning.failures) == ["matrix product"]


PROBLEM = Convolution(2, 16, 8, 8, 16, padding=((1, 1), (1, 1)))


def test_a_candidate_that_does_not_run_is_set_aside_and_the_others_are_tried(monkeypatch):
    tuning = Tuning(Runtime(found_devices()[0]))
    first, *others = candidates(PROBLEM, "forward", tuning.runtime.target)
    failing_trial(monkeypatch, first, -54)
    results = tuning.tune(PROBLEM, "forward")
    assert "INVALID_WORK_GROUP_SIZE" in results[0][2] and len(results) == 1 + len(others)
    assert not any(note for _, _, note in results[1:])


def test_a_candidate_that_lacks_memory_is_not_set_aside(monkeypatch):
    tuning = Tuning(Runtime(found_devices()[0]))
    failing_trial(monkeypatch, candidates(PROBLEM, "forward", tuning.runtime.target)[0], NO_MEMORY)
    assert tuning.tune(PROBLEM, "forward")[0][2].startswith("not tried: ")
    assert tuning.set_aside == {}


def test_a_candidate_that_takes_the_context_with_it_is_named_and_kept(monkeypatch):
    tuning = Tuning(Runtime(found_devices()[0]))
    first = candidates(PROBLEM, "forward", tuning.runtime.target)[0]
    failing_trial(monkeypatch, first, BAD_CONTEXT)
    monkeypatch.setattr(tuning.runtime, "works", lambda: False)
    with pytest.raises(MachineError) as caught:
        tuning.tune(PROBLEM, "forward")
    (found,) = caught.value.diagnostics
    assert found.code == "device-failed" and str(first.shape) in found.notes[0] and "start again" in found.help
    assert len(Tuning(tuning.runtime).set_aside) == 1


def test_a_device_that_is_gone_sets_no_candidate_aside(monkeypatch):
    tuning = Tuning(Runtime(found_devices()[0]))
    failing_trial(monkeypatch, candidates(PROBLEM, "forward", tuning.runtime.target)[0], GONE)
    monkeypatch.setattr(Runtime, "_computes", lambda self, target: raised(cl_error(GONE)))
    with pytest.raises(MachineError):
        tuning.tune(PROBLEM, "forward")
    assert Tuning(SimpleNamespace(found=tuning.runtime.found, target=tuning.runtime.target)).set_aside == {}


def test_a_candidate_that_ends_its_process_is_set_aside_and_the_others_are_tried(tmp_path):
    tuning = Tuning(Runtime(found_devices()[0]))
    tuning._rehearsal = OtherProcess("tests.devices.opencl.crashing", ("SIGSEGV", (PROBLEM, "forward", 1)))
    results = tuning.tune(PROBLEM, "forward")
    every = candidates(PROBLEM, "forward", tuning.runtime.target)
    assert [note for _, _, note in results] == [
        "",
        "set aside: ends the process that tries it: SIGSEGV",
        *[""] * (len(every) - 2),
    ]
    assert tuning.save()
    later = Tuning(tuning.runtime)
    assert later.set_aside == tuning.set_aside != {}
    assert later.choose(PROBLEM, "forward") != every[1]


def test_a_candidate_whose_process_is_killed_is_not_set_aside():
    """What lacks memory may be ended by the system: that says nothing of the kernel."""
    tuning = Tuning(Runtime(found_devices()[0]))
    tuning._rehearsal = OtherProcess("tests.devices.opencl.crashing", ("SIGKILL", (PROBLEM, "forward", 1)))
    results = tuning.tune(PROBLEM, "forward")
    assert results[1][2].startswith("not tried: ") and "SIGKILL" in results[1][2]
    assert tuning.set_aside == {}


def test_candidates_are_rehearsed_in_a_process_that_lives_as_long_as_it_is_needed():
    tuning = Tuning(Runtime(found_devices()[0]))
    assert tuning._rehearsed(PROBLEM, "forward", 0) is None
    process = tuning._rehearsal._process
    assert process is not None and process.poll() is None
    tuning._rehearsal.close()
    assert process.wait(30) == 0


def failing_trial(monkeypatch, candidate, code):
    honest = Trial._run

    def run(self, choice, *arguments):
        if choice == candidate:
            raise cl_error(code)
        return honest(self, choice, *arguments)

    monkeypatch.setattr(Trial, "_run", run)


CONVOLUTION = """
inputs: {x: 'float32[N, 16, 8, 8]'}
nodes:
  - conv2d: {channels: 16, kernel: 3, padding: 1}
  - relu
"""


def test_numpy_computes_a_convolution_all_of_whose_kernels_were_set_aside(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 16, 8, 8)).astype(np.float32)
    want = next(iter(flownet.load(CONVOLUTION, device="cpu").run(x=x).values()))
    monkeypatch.setattr(Tuning, "__init__", all_set_aside)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = flownet.load(CONVOLUTION, device="opencl:0")
        got = next(iter(net.run(x=x).values()))
    (told,) = (w.message.diagnostic for w in caught if isinstance(w.message, DiagnosticWarning))
    assert told.code == "kernel-set-aside" and "NumPy is taken" in told.message
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    step = next(s for s in net.plan(N=2).program.steps if s.device == "cpu")
    assert "set aside" in step.facts["reason"]


def all_set_aside(self, runtime):
    from flownet.devices.opencl.tuning import _family

    self.runtime, self.chosen, self.failures, self._said = runtime, {}, {}, set()
    self.path = "here"
    every = [c for n in (1, 2) for c in candidates(replace(PROBLEM, batch=n), "forward", runtime.target)]
    self.set_aside = {_family(c): "is wrong" for c in every}


def test_what_the_compiler_says_in_the_self_test_is_shown(two, monkeypatch):
    import pyopencl as cl

    monkeypatch.setattr(cl, "Program", Failing(None, BAD_BUILD))
    with pytest.raises(MachineError) as caught:
        choose_device("opencl")
    assert any("BUILD_PROGRAM_FAILURE" in note for note in caught.value.diagnostics[0].notes)


def test_bench_names_a_candidate_that_does_not_run_and_later_runs_take_another(monkeypatch, tmp_path):
    (tmp_path / "net.yaml").write_text(CONVOLUTION)
    arguments = ["bench", str(tmp_path / "net.yaml"), "--batch", "2", "--device", "opencl:0", "--seconds", "0.01"]
    target = Runtime(found_devices()[0]).target
    first = candidates(PROBLEM, "forward", target)[0]
    with monkeypatch.context() as patch:
        failing_trial(patch, first, -54)
        tuned = CliRunner().invoke(command, [*arguments, "--tune"])
    assert tuned.exit_code == 0, tuned.stderr
    (line,) = (line for line in tuned.stdout.splitlines() if "set aside: " in line)
    assert str(first.shape) in line and "INVALID_WORK_GROUP_SIZE" in line
    later = CliRunner().invoke(command, arguments)
    assert later.exit_code == 0
    assert "warning[kernel-set-aside]" in later.stderr and "is taken" in later.stderr
