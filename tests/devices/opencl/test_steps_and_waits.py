"""What a loop of training steps costs besides the kernels: waits, arguments, copies; counted where PyOpenCL is entered.

A gate in the queue, an event that nobody but the test sets, holds a step back for certain: what returns before it is opened did not wait.
"""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from flownet.devices.choose import choose_device
from flownet.devices.opencl.program import OpenCLProgram
from flownet.executor import Session
from flownet.training.trainer import Trainer
from flownet.training.training_graph import LEARNING_RATE, STEP
from tests.devices.opencl.opencl_devices import close, device_ids_and_gpus, opened
from tests.passes.small_networks import NETWORKS, feeds, training_step
from tests.training.small import network

cl = pytest.importorskip("pyopencl")
pytestmark = pytest.mark.opencl

ASIDE = ["calling_thread"]
SECONDS = 60  # until a test gives up on what would wait for ever


@pytest.fixture(params=device_ids_and_gpus())
def device(request):
    return opened(request.param)


@pytest.fixture
def apart():
    return opened(device_ids_and_gpus()[-1])


@pytest.fixture
def calls(monkeypatch):
    """How often each of PyOpenCL's functions that matter was called; `waits` sums those that return when the device is done."""
    count = Counter()

    def counted(owner, name, waits=lambda arguments, options: False):
        original = getattr(owner, name)

        def call(*arguments, **options):
            count[name] += 1
            count["waits"] += waits(arguments, options)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    def always(arguments, options):
        return True

    counted(cl.CommandQueue, "finish", always)
    counted(cl.Event, "wait", always)
    counted(cl, "wait_for_events", always)
    counted(cl, "enqueue_copy", lambda arguments, options: options.get("is_blocking", True))
    counted(cl, "enqueue_map_buffer", lambda arguments, options: options.get("is_blocking", True))
    counted(cl, "enqueue_nd_range_kernel")
    for name in ("set_arg", "set_args"):
        counted(cl.Kernel, name)
    for name in ("Kernel", "Buffer"):
        counted(cl, name)
    return count


def step_of(device, name="batch_norm"):
    """A training step on the device's own threads: in the calling one there is nobody to wait for."""
    graph = training_step(*NETWORKS[name])
    return graph, Session(device, without=ASIDE).plan(graph, {}).program


def test_a_step_waits_once_and_sets_no_argument(device, calls):
    graph, program = step_of(device)
    batches = [feeds(graph, seed=n) for n in range(6)]
    assert calls["set_args"]  # so they would be counted
    calls.clear()
    results = []
    for name, array in batches[0].items():
        program.feed(name, array)
    for following in [*batches[1:], None]:
        program.run()
        for name, array in following.items() if following else ():
            program.feed(name, array)
        results.append((program.fetch("loss"), program.fetch("scores")))
    assert calls["enqueue_nd_range_kernel"] >= 6
    assert calls["waits"] == 6
    assert {name: calls[name] for name in ("set_arg", "set_args", "Kernel", "Buffer")} == dict.fromkeys(
        ("set_arg", "set_args", "Kernel", "Buffer"), 0
    )
    assert len({float(loss) for loss, _ in results}) == 6  # each is of its own step


def test_losses_of_overlapped_steps_are_numpys(device):
    graph, program = step_of(device)
    reference = Session(choose_device("cpu")).plan(graph, {}).program
    batches = [feeds(graph, seed=n) for n in range(6)]
    for name, array in batches[0].items():
        program.feed(name, array)
    for batch, following in zip(batches, [*batches[1:], batches[0]], strict=True):
        program.run()
        for name, array in following.items():
            program.feed(name, array)
        for name, array in batch.items():
            reference.feed(name, array)
        reference.run()
        for output in ("loss", "scores"):
            close(program.fetch(output), reference.fetch(output), output)


def test_steps_whose_loss_nobody_wants_wait_once_at_most(device, calls):
    graph, program = step_of(device)
    arrays = feeds(graph)
    calls.clear()
    for _ in range(6):
        for name, array in arrays.items():
            program.feed(name, array)
        program.run()
    assert calls["waits"] <= 6


def test_the_next_batch_reaches_the_device_while_a_step_is_held_back(device):
    graph, program = step_of(device)
    first, second = feeds(graph, seed=1), feeds(graph, seed=2)
    _, other = step_of(device)
    wanted = []
    for batch in (first, second):
        for name, array in batch.items():
            other.feed(name, array)
        other.run()
        wanted.append(other.fetch("loss"))
    for name, array in first.items():
        program.feed(name, array)
    gate = cl.UserEvent(device.runtime.context)
    held = cl.enqueue_barrier(device.runtime.queue, wait_for=[gate])
    problems = []

    def go_on():
        try:
            program.run()
            for name, array in second.items():
                program.feed(name, array)
            for upload in program._uploads[program._current].values():
                upload.wait()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        thread.join(SECONDS)
        waiting = thread.is_alive()
        still_held = held.command_execution_status != cl.command_execution_status.COMPLETE
    finally:
        gate.set_status(cl.command_execution_status.COMPLETE)
        thread.join()
    assert not problems
    assert still_held and not waiting
    np.testing.assert_array_equal(program.fetch("loss"), wanted[0])
    program.run()
    np.testing.assert_array_equal(program.fetch("loss"), wanted[1])


def test_an_input_that_is_fed_twice_for_a_run_counts_the_second_time(apart):
    graph, program = step_of(apart)
    wrong, right = feeds(graph, seed=1), feeds(graph, seed=2)
    _, other = step_of(apart)
    for name in right:
        program.feed(name, wrong[name])
        program.feed(name, right[name])
        other.feed(name, right[name])
    for each in (program, other):
        each.run()
    np.testing.assert_array_equal(program.fetch("loss"), other.fetch("loss"))


def test_an_output_that_is_an_input_is_the_last_runs(device):
    graph = training_step(*NETWORKS["batch_norm"])
    graph.outputs["seen"] = "x"
    program = Session(device, without=ASIDE).plan(graph, {}).program
    first, second = feeds(graph, seed=1), feeds(graph, seed=2)
    for name, array in first.items():
        program.feed(name, array)
    program.run()
    for name, array in second.items():
        program.feed(name, array)
    np.testing.assert_array_equal(program.fetch("seen"), first["x"])


def test_the_trainer_feeds_the_next_batch_before_it_asks_for_the_loss(monkeypatch):
    told = []

    def noted(name, what):
        original = getattr(OpenCLProgram, name)

        def call(self, *arguments):
            if LEARNING_RATE in self.graph.values:  # the training step's program, not the validation's
                told.append(what(*arguments))
            return original(self, *arguments)

        monkeypatch.setattr(OpenCLProgram, name, call)

    noted("feed", lambda name, array: f"feed {name}")
    noted("run", lambda: "run")
    noted("fetch", lambda name: f"fetch {name}")
    monkeypatch.setattr("flownet.devices.opencl.program._SMALL", 0)  # on the device's own threads
    net = network(epochs=1, device="opencl")
    section = net.document.train
    list(Trainer(net.session, section, section.data.open(None)).run())
    feeding = [f"feed {name}" for name in ("x", "label", LEARNING_RATE, STEP)]
    fetching = ["fetch loss", "fetch metrics/accuracy"]
    batches = told.count("run")
    assert batches == 12
    assert told == [*feeding, *(["run", *feeding, *fetching] * (batches - 1)), "run", *fetching]


def test_training_on_opencl_takes_the_steps_of_numpy():
    losses = []
    for device in ("opencl", "cpu"):
        net = network(epochs=2, device=device)
        section = net.document.train
        losses.append([p.loss for p in Trainer(net.session, section, section.data.open(None)).run()])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)  # 24 steps, each starting from the last one's rounding
