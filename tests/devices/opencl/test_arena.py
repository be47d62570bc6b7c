"""The arena of compiled plans against a count of what is alive that knows nothing of the planner: who touches a buffer, and when."""

from __future__ import annotations

import itertools

import pytest

from flownet.devices.opencl.device import OpenCL
from flownet.devices.opencl.program import OpenCLProgram
from flownet.executor import Session
from flownet.passes.specialise_inference import specialise_inference
from flownet.training.training_graph import training_graph
from tests.graphs.zoo import document

pytestmark = pytest.mark.opencl


@pytest.fixture(scope="module")
def device():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenCLProgram, "_interpreted", lambda self: ([], []))  # planned, not compiled
        yield OpenCL("opencl", fallback="cpu")


def spans(program):
    """Buffer -> (first stage, last stage, bytes): from who reads and writes it, by launch. The stages of the set-up come first, and
    what a later run reads of theirs must stay for all runs."""
    schedule, at, sizes = program.schedule, {}, {}
    begin, stages = len(schedule.setup), [*schedule.setup, *schedule.stages]
    end = len(stages) - 1
    for index, stage in enumerate(stages):
        for launch in stage.launches:
            for name in (*launch.reads, *launch.writes):
                at.setdefault(name, []).append(index)
    for indices in at.values():
        if min(indices) < begin <= max(indices):
            indices.append(end)
    for name in program.graph.outputs.values():
        at.setdefault(program._at(name), []).append(end)
    for name in schedule.offsets:
        value = program.graph.values.get(name)
        nbytes = program._emitter.scratch[name] if value is None else int(value.type.nbytes)
        sizes[name] = -(-max(nbytes, 4) // 64) * 64
    return {name: (min(at[name]), max(at[name]), sizes[name]) for name in sizes}


@pytest.mark.parametrize(
    ("name", "mode", "batch"),
    [
        ("lenet5", "train", 2),
        ("mlp_mnist", "train", 2),
        ("cnn_small", "train", 2),
        ("unet_small", "train", 2),
        ("deconvnet_camvid", "train", 2),
        ("deconvnet_camvid", "infer", 2),
        ("squeezenet", "infer", 2),
        ("resnet20", "train", 64),  # at batch 2, where packed operands are a part of it, it is 1.02 of what is alive
    ],
)
def test_the_arena_is_what_is_alive_at_the_fullest_stage(device, name, mode, batch):
    known = document(name)
    graph = training_graph(known.train) if mode == "train" else specialise_inference(known.graph)
    program = Session(device).plan(graph, dict.fromkeys(graph.symbols(), batch)).program
    found = spans(program)
    fullest = 0
    for stage in range(len(program.schedule.setup) + len(program.schedule.stages)):
        alive = [n for n, (first, last, _) in found.items() if first <= stage <= last]
        fullest = max(fullest, sum(found[n][2] for n in alive))
        places = sorted((program.schedule.offsets[n], found[n][2]) for n in alive)
        for (offset, nbytes), (following, _) in itertools.pairwise(places):
            assert offset + nbytes <= following  # no two share a byte
    assert program.schedule.arena_bytes == fullest
