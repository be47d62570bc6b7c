"""A device that fails in the middle: every call that touches it says so, and a training run can go on elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

import flownet
from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.runtime import Runtime
from flownet.errors import FlownetError, MachineError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.training.checkpoint import read_tensors
from flownet.types import DType, TensorType
from tests.devices.opencl.broken_driver import (
    BAD_CONTEXT,
    GONE,
    NO_MEMORY,
    NO_RESOURCES,
    Failing,
    FailingQueue,
    cl_error,
)
from tests.devices.opencl.opencl_devices import device_ids
from tests.passes.small_networks import op
from tests.training.small import graph_of, network

pytestmark = pytest.mark.opencl

SIZE = 1 << 15  # an output of 128 KB is copied when it is fetched; smaller ones come with the step


@pytest.fixture(params=device_ids())
def device(request):
    return OpenCL(request.param)


@pytest.fixture
def distant(device, monkeypatch):
    """The device as one with a memory of its own: what it computes has to be copied."""
    monkeypatch.setattr(Runtime, "_really_shares_memory", lambda self: False)
    return OpenCL(device.found.id)


def diagnostic(call):
    with pytest.raises(FlownetError) as caught:
        call()
    assert isinstance(caught.value, MachineError)
    return caught.value.diagnostics[0]


def exponential(device, without=()):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, (SIZE,)))
    graph.output(g.add(op("mul"), g.add(op("exp"), x), x, name="y").name)
    plan = Session(device, without=without).plan(graph, {})
    plan({"x": np.ones(SIZE, np.float32)})
    return plan


CALLS = {
    "feed": lambda plan: plan.program.feed("x", np.ones(SIZE, np.float32)),
    "run": lambda plan: plan.program.run(),
    "run_checked": lambda plan: plan.program.run_checked(),
    "fetch": lambda plan: plan.program.fetch(next(iter(plan.graph.outputs))),
    "profile": lambda plan: plan.program.profile(1),
    "step": lambda plan: plan.program.steps[0].run(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [GONE, BAD_CONTEXT, NO_RESOURCES])
def test_every_call_of_a_program_says_that_the_device_failed(distant, monkeypatch, call, code):
    plan = exponential(distant)
    for name in ("enqueue_nd_range_kernel", "enqueue_copy"):
        monkeypatch.setattr(distant.runtime.cl, name, Failing(None, code))
    plan.program._segments = [[Failing(None, code)], [Failing(None, code)]]
    found = diagnostic(lambda: CALLS[call](plan))
    assert found.code == "device-failed" and distant.found.name in found.message
    assert "cpu" in found.help
    assert ("too little memory" in "".join(found.notes)) == (code == NO_RESOURCES)


def test_waiting_for_a_lost_device_says_so(device):
    plan = exponential(device, without=["calling_thread"])
    plan.program.run()
    device.runtime.busy = FailingQueue(device.runtime.busy, GONE)
    found = diagnostic(lambda: plan.program.fetch(next(iter(plan.graph.outputs))))
    assert found.code == "device-failed" and "DEVICE_NOT_AVAILABLE" in found.message


def test_parameters_of_a_lost_device_cannot_be_read_or_written(distant, monkeypatch):
    storage = distant.storage(TensorType(DType.float32, (3,)))
    storage.write(np.arange(3, dtype=np.float32))
    monkeypatch.setattr(distant.runtime.cl, "enqueue_copy", Failing(None, BAD_CONTEXT))
    assert diagnostic(storage.read).code == "device-failed"
    assert diagnostic(lambda: storage.write(np.zeros(3, np.float32))).code == "device-failed"


def test_memory_that_is_missing_at_a_launch_is_told_with_what_is_held(device):
    """Some drivers take memory only when a kernel wants it."""
    plan = exponential(device)
    plan.program._segments = [[Failing(None, NO_MEMORY)], [Failing(None, NO_MEMORY)]]
    found = diagnostic(plan.program.run)
    assert found.code == "out-of-memory" and "--memory-limit" in found.help
    told = "\n".join(found.notes)
    assert "held: the results of " in told and "held together" in told


def test_a_device_that_is_lost_while_a_plan_is_made(device, monkeypatch):
    monkeypatch.setattr(device.runtime.cl, "Kernel", Failing(None, GONE))
    assert diagnostic(lambda: exponential(device)).code == "device-failed"


def test_a_device_that_is_lost_while_it_compiles_is_no_fault_of_the_kernels(device, monkeypatch):
    monkeypatch.setattr(device.runtime.cl, "Program", Failing(None, GONE))
    found = diagnostic(lambda: exponential(device))
    assert found.code == "device-failed" and "compiled" in found.message


# -- training ----------------------------------------------------------------------------------------------------------------


def lost_at_step(net, step):
    """The network's device fails in the step of that number."""
    from flownet.devices.opencl.program import OpenCLProgram

    run = OpenCLProgram.run
    seen = 0

    def failing(self):
        nonlocal seen
        seen += bool(self.graph.updates)
        if seen >= step:
            raise self.runtime.failed(cl_error(GONE))
        run(self)

    return failing


def test_a_run_that_loses_its_device_goes_on_elsewhere_from_a_whole_checkpoint(device, tmp_path, monkeypatch):
    from flownet.devices.opencl.program import OpenCLProgram

    net = network(device.found.id)
    with monkeypatch.context() as patch:
        patch.setattr(OpenCLProgram, "run", lost_at_step(net, 8))
        found = diagnostic(lambda: flownet.train(net, folder=tmp_path / "run", checkpoint_every=3))
    assert found.code == "device-failed"
    kept = found.notes[-1]
    assert "after step 6" in kept
    assert f"`flownet train --resume {tmp_path / 'run'} --device cpu` goes on from there" in kept
    saved = read_tensors(tmp_path / "run" / "checkpoint.safetensors")
    assert saved.metadata["position"]["step"] == 6
    result = flownet.train(network("cpu"), folder=tmp_path / "run", resume=True)
    whole = flownet.train(network("cpu"), folder=tmp_path / "whole")
    assert result.epochs == 3
    steps = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [s["step"] for s in steps if s["kind"] == "step"] == list(range(1, 1 + max(s["step"] for s in steps)))
    # the two devices sum in another order: 36 steps of it stay far below what a lost or repeated step would change
    assert result.metrics["test"]["loss"] == pytest.approx(whole.metrics["test"]["loss"], rel=1e-4)


def test_a_run_that_loses_its_device_before_a_checkpoint_says_that_there_is_none(device, tmp_path, monkeypatch):
    from flownet.devices.opencl.program import OpenCLProgram

    net = network(device.found.id)
    monkeypatch.setattr(OpenCLProgram, "run", lost_at_step(net, 2))
    found = diagnostic(lambda: flownet.train(net, folder=tmp_path / "run"))
    assert "no checkpoint had been written yet" in found.notes[-1]


def test_a_device_that_is_lost_while_a_checkpoint_is_read_leaves_the_one_before(distant, tmp_path, monkeypatch):
    net = network(distant.found.id)
    assert not net.session.device.runtime.shares_memory
    from flownet.devices.opencl.memory import OpenCLStorage

    path = tmp_path / "run" / "checkpoint.safetensors"
    read = OpenCLStorage.read

    def failing(self):
        if path.exists():
            raise self.pool.runtime.failed(cl_error(GONE))
        return read(self)

    monkeypatch.setattr(OpenCLStorage, "read", failing)
    found = diagnostic(lambda: flownet.train(net, folder=tmp_path / "run", checkpoint_every=4))
    assert "after step 4" in found.notes[-1]
    assert read_tensors(path).metadata["position"]["step"] == 4


def test_a_failure_in_the_last_evaluation_says_how_to_go_on(tmp_path, monkeypatch):
    from flownet.training.trainer import Trainer

    def failing(self, split):
        if split == "test":
            raise MemoryError("7 GiB")
        return evaluate(self, split)

    evaluate = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", failing)
    found = diagnostic(lambda: flownet.train(network("cpu"), folder=tmp_path / "run"))
    assert found.code == "out-of-memory" and "--resume" in found.notes[-1]


def test_the_command_says_how_to_go_on_and_ends_with_3(tmp_path, monkeypatch, device):
    from click.testing import CliRunner

    from flownet.cli.program import flownet as command
    from flownet.devices.opencl.program import OpenCLProgram
    from flownet.language.writing import to_yaml

    (tmp_path / "small.yaml").write_text(to_yaml(graph_of()))
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(OpenCLProgram, "run", lost_at_step(None, 9))
        arguments = ["train", "small.yaml", "--device", device.found.id, "--checkpoint-every", "4"]
        result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 3
    assert "error[device-failed]" in result.stderr and "Traceback" not in result.stderr
    assert "`flownet train --resume runs/small --device cpu` goes on from there" in result.stderr
    again = CliRunner().invoke(command, ["train", "--resume", "runs/small", "--device", "cpu"])
    assert again.exit_code == 0, again.stderr
