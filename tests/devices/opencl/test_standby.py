"""Small programs in the calling thread: whoever comes, or does not, the values are the same."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from flownet.devices.opencl import standby
from flownet.devices.opencl.calling_thread import CallingThread
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.standby import BELL, CLAIM, DONE, LINE, STATE
from flownet.errors import MachineError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.broken_driver import GONE, Failing
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl

SECONDS = 60  # until a test gives up
SIZE = 1 << 16  # of floats: enough work for two


@pytest.fixture
def device():
    device = OpenCL()
    if device.runtime.crew is None or len(device.runtime.crew.devices) < 2:
        pytest.skip("no two devices here run kernels in the calling thread")
    return device


def sums(power):
    """Products and softmaxes in turn, and the sums of the last one's columns: stages that wait for each other."""
    graph = Graph()
    g = Builder(graph)
    x = y = g.input("x", TensorType(DType.float32, (SIZE // 64, 64)))
    for i in range(power - 1):
        y = g.add(op("softmax"), g.add(op("mul"), y, x, name=f"product{i}"), name=f"softmax{i}")
    graph.outputs["y"] = y.name
    graph.outputs["sums"] = g.add(op("sum", axes=(0,)), y, name="columns").name
    return graph


def x_of(seed):
    return np.random.default_rng(seed).uniform(-1, 1, (SIZE // 64, 64)).astype(np.float32)


def wanted(x, power):
    y = x.astype(np.float64)
    for _ in range(power - 1):
        e = np.exp(y * x)
        y = e / e.sum(1, keepdims=True)
    return y


def check(plan, seed, power):
    x = x_of(seed)
    found = plan({"x": x})
    y = wanted(x, power)
    np.testing.assert_allclose(found["y"], y, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(found["sums"], y.sum(0), rtol=2e-5)


@pytest.fixture
def plan(device):
    plan = Session(device).plan(sums(3), {})
    assert isinstance(plan.program._interpreter, CallingThread) and plan.program.workers == 2
    return plan


def of_the_standby(crew, what):
    return crew._ints[LINE + what]


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0)


def test_a_program_that_runs_again_and_again_gives_the_same_as_numpy(plan):
    for seed in range(200):
        check(plan, seed, 3)


def test_a_standby_goes_when_nobody_calls(plan, device):
    check(plan, 0, 3)
    until(lambda: of_the_standby(device.runtime.crew, STATE) == 0)
    check(plan, 1, 3)


def test_nobody_comes(plan, device, monkeypatch):
    """The caller does everything, and whoever comes later finds the run's number claimed."""
    crew = device.runtime.crew
    until(lambda: of_the_standby(crew, STATE) == 0)
    monkeypatch.setattr(crew, "_wake", lambda run: None)
    for seed in range(3):
        check(plan, seed, 3)
        assert {of_the_standby(crew, what) for what in (BELL, CLAIM, DONE)} == {crew._ints[BELL]}


def test_a_standby_does_the_whole_work_where_the_caller_takes_none(plan, device):
    """The caller waits before it takes part; it would find work left to do, and do it a second time, if the standby had left any."""
    crew = device.runtime.crew
    (begin,) = plan.program._segments[0]
    x = x_of(3)
    plan.program.feed("x", x)
    begin()
    until(lambda: of_the_standby(crew, DONE) == crew._ints[BELL])
    plan.program._current = plan.program._ran = 0
    np.testing.assert_allclose(plan.program.fetch("sums"), wanted(x, 3).sum(0), rtol=2e-5)
    assert crew._under_way is begin
    begin.wait()
    assert crew._under_way is None
    np.testing.assert_allclose(plan.program.fetch("sums"), wanted(x, 3).sum(0), rtol=2e-5)


def test_a_run_that_nobody_waited_for_is_over_before_the_next(device):
    """Neither is its memory lost, though its plan is."""
    plan = Session(device).plan(sums(4), {})
    plan.program.feed("x", x_of(1))
    plan.program.run()
    del plan
    gc.collect()
    check(Session(device).plan(sums(3), {}), 2, 3)


def test_a_run_that_was_interrupted_before_it_rang_all_bells(plan, device):
    crew = device.runtime.crew
    (begin,) = plan.program._segments[0]
    for seed in range(5):
        check(plan, seed, 3)
        crew._under_way = begin  # and no bell
        check(plan, seed + 100, 3)
        crew._under_way = begin
        crew._runs += 1
        crew._ints[BELL] = begin.program << 16 | crew._runs  # and none of a standby's
        check(plan, seed + 200, 3)


def test_numbers_of_runs_begin_anew(plan, device):
    device.runtime.crew._runs = 0xFFF0
    for seed in range(32):
        check(plan, seed, 3)


def test_programs_in_turn(device):
    plans = {power: Session(device).plan(sums(power), {}) for power in (2, 3, 4)}
    for seed in range(60):
        power = 2 + seed % 3
        check(plans[power], seed, power)


def test_threads_with_a_network_each(device):
    problems = []

    def run(power):
        try:
            plan = Session(OpenCL()).plan(sums(power), {})
            for seed in range(60):
                check(plan, seed, power)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(power,)) for power in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_a_launch_that_fails_is_tried_by_pyopencl_which_says_why(plan, device, monkeypatch):
    monkeypatch.setattr(standby, "_functions", lambda: (lambda *arguments: GONE, lambda queue: GONE))
    check(plan, 5, 3)
    monkeypatch.setattr(device.runtime.cl, "enqueue_nd_range_kernel", Failing(None, GONE))
    with pytest.raises(MachineError, match="DEVICE_NOT_AVAILABLE"):
        check(plan, 6, 3)


# -- other processes ---------------------------------------------------------------------------------------------------------

PROGRAM = """
import os, sys
from dataclasses import replace
from tests.devices.opencl.test_standby import OpenCL, Session, check, sums
device = OpenCL()
device.target = replace(device.target, units=int(sys.argv[1]))
plan = Session(device).plan(sums(3), {})
for seed in range(40):
    check(plan, seed, 3)
print(plan.program.workers)
"""


def run(code, workers=2, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code, str(workers)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )


def test_a_process_that_ends_while_one_stands_by_ends_in_peace():
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")


def test_three_standbys_on_however_many_processors():
    everywhere = (
        "from flownet.devices.opencl import program, standby\n"
        "standby._processors = lambda: set(range(8))\nprogram._OF_EACH = 1024\n"
    )
    done = run(everywhere + PROGRAM, 4, POCL_DEVICES="pthread basic basic basic basic")
    assert (done.returncode, done.stdout.split()) == (0, ["4"]), done.stderr


def test_one_processor_is_not_shared_with_a_standby():
    alone = "from flownet.devices.opencl import standby\nstandby._processors = lambda: {standby._this_processor()}\n"
    done = run(
        alone + PROGRAM + "from flownet.devices.opencl.standby import *\nprint(device.runtime.crew._ints[LINE + STATE])"
    )
    assert (done.returncode, done.stdout.split()) == (0, ["2", "0"]), done.stderr


def test_pocl_without_devices_in_the_calling_thread():
    done = run(PROGRAM + "print(type(plan.program._interpreter).__name__)", POCL_DEVICES="pthread")
    assert (done.returncode, done.stdout.split()) == (0, ["2", "DeviceThreads"]), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_process_has_nobody_to_stand_by():
    forked = (
        "pid = os.fork()\nfor seed in range(40):\n    check(plan, seed, 3)\nif pid:\n    print(os.waitpid(pid, 0)[1])"
    )
    done = run(PROGRAM + forked)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "0"), done.stderr
