"""Every pass, and every decision of a device beside them, can be switched off by name: it changes the plan and no value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.devices.opencl.device import OpenCL
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.passes.pipeline import PIPELINE
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.devices.test_set_up import networks
from tests.passes.small_networks import NETWORKS, feeds, training_step

ON_CPU = [*(step.name for step in PIPELINE if not step.needed), *CPU.decisions]
ON_OPENCL = [*(step.name for step in opencl_pipeline(kernels={}) if not step.needed), *OpenCL.decisions]
CASES = [
    *(pytest.param("cpu", name, id=f"cpu-{name}") for name in ON_CPU),
    *(pytest.param(device_ids()[0], name, id=f"opencl-{name}", marks=pytest.mark.opencl) for name in ON_OPENCL),
]  # fmt: skip
DEVICES = ["cpu", pytest.param(device_ids()[0], marks=pytest.mark.opencl)]


def device_of(name):
    return CPU() if name == "cpu" else opened(name)


@pytest.mark.parametrize(("device", "name"), CASES)
def test_without_it_the_values_are_the_same(device, name):
    """Two steps of training and a run of inference, the graph checked behind every pass."""
    step, inference = networks()
    results = []
    for without in ((), (name,)):
        session = Session(device_of(device), seed=1, without=without, check=True)
        losses = [session.run(step, feeds(step, seed=i))["loss"] for i in range(2)]
        (scores,) = session.run(inference, {"x": feeds(inference)["x"]}).values()
        results.append([*losses, scores, *session.read().values()])
    for got, want in zip(*results, strict=True):
        # float32 sums in another order, through two batch norms over four examples
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_without_update_in_place_new_values_are_copied_into_the_parameters(device):
    graph = training_step(*NETWORKS["mlp"])

    def copies(*without):
        steps = Session(device_of(device), without=without).plan(graph).program.steps
        return sum(step.kernel.startswith("store ") or step.kernel == "copy" for step in steps)

    assert copies() == 0
    assert copies("update_in_place") == len(graph.updates)


@pytest.mark.parametrize("device", DEVICES)
def test_without_plan_memory_no_two_values_share_a_byte(device):
    graph = training_step(*NETWORKS["batch_norm"])

    def memory(*without):
        program = Session(device_of(device), without=without).plan(graph).program
        found = program.memory if device == "cpu" else program.schedule
        return found.arena_bytes, sum(life.nbytes for life in found.lifetimes.values())

    shared, every = memory()
    assert shared < 0.7 * every
    assert memory("plan_memory") == (every, every)


@pytest.mark.parametrize("device", DEVICES)
def test_without_set_up_first_folded_weights_are_computed_in_every_run(device):
    _, inference = networks()

    def set_up(*without):
        steps = Session(device_of(device), without=without).plan(inference).program.steps
        return [bool(step.facts["setup"]) for step in steps]

    assert any(set_up()) and not any(set_up("set_up_first"))
    assert len(set_up()) == len(set_up("set_up_first"))


def test_the_error_of_a_wrong_name_lists_the_devices_decisions_too():
    with pytest.raises(FlownetError) as error:
        Session(CPU(), without=["nothing_like_it"]).plan(networks()[1])
    text = str(error.value)
    assert all(name in text for name in ON_CPU)


def test_the_documentation_names_each():
    text = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()
    missing = [name for name in ON_OPENCL if f"| `{name}` |" not in text]
    assert not missing
