"""The device as sessions see it: choosing, feeding while a step runs, the host's nodes, updates, memory, set-up work."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from flownet.devices.choose import choose_device
from flownet.devices.device import Step
from flownet.devices.opencl.device import OpenCL
from flownet.errors import DiagnosticWarning, FlownetError
from flownet.executor import Session
from flownet.executor.profile import Measured, measure, plan_document, trace
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.kernels import Template
from flownet.op import Elementwise
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import close, device_ids, opened
from tests.passes.small_networks import NETWORKS, OnlyInNumpy, feeds, op, training_step

pytestmark = pytest.mark.opencl


def f32(*shape):
    return TensorType(DType.float32, shape)


@pytest.fixture(params=device_ids())
def device(request):
    return opened(request.param)


def plan_of(graph, device, **options):
    return Session(device, **options).plan(graph, {})


def test_choosing():
    assert choose_device("cpu").name == "cpu"
    automatic = choose_device("auto")
    assert automatic.name == "opencl" and automatic.reason
    assert choose_device(f"opencl:{automatic.found.name.split()[0].lower()}").found == automatic.found


def test_a_memory_limit_without_effect_is_told():
    with pytest.warns(DiagnosticWarning) as caught:
        choose_device("cpu", memory_limit=1 << 20)
    (found,) = (warning.message.diagnostic for warning in caught)
    assert found.code == "no-effect" and "`cpu`" in found.message and "opencl" in found.help
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose_device("cpu")
        choose_device("opencl", memory_limit=1 << 20)


NAMES = [
    ("opencl:99", "no-device"), ("opencl:voodoo", "no-device"), ("opencl:²", "no-device"), ("opncl", "unknown-device"),
    ("cpu:1", "unknown-device"), ("auto:1", "unknown-device"), (None, "unknown-device"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code"), NAMES)
def test_names_that_mean_nothing(name, code):
    with pytest.raises(FlownetError) as caught:
        choose_device(name)
    assert caught.value.diagnostics[0].code == code and caught.value.diagnostics[0].help


@pytest.mark.parametrize(
    "options", [{"fallback": "wran"}, {"fallback": None}, {"memory_limit": -1}, {"memory_limit": "500MB"}], ids=str
)
def test_options_that_mean_nothing(options):
    with pytest.raises(FlownetError) as caught:
        choose_device("opencl", **options)
    assert caught.value.diagnostics[0].code == "bad-value" and caught.value.diagnostics[0].help


def test_feeding_while_a_step_runs_does_not_disturb_it(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(300, 300))
    y = x
    for _ in range(30):
        y = g.add(Elementwise((("y", parse("sqrt(x * x + 1) - 1 / (1 + exp(x))")),), ("x",)), x=y)
        y = g.add(op("matmul"), y, g.constant(np.eye(300, dtype=np.float32)))
    graph.output(y.name)
    program = plan_of(graph, device).program
    arrays = [np.full((300, 300), value, np.float32) for value in range(6)]
    want = []
    for array in arrays:
        program.feed("x", array)
        program.run()
        want.append(program.fetch(y.name))
    got = []
    program.feed("x", arrays[0])
    for following in [*arrays[1:], arrays[0]]:
        program.run()
        program.feed("x", following)  # while the run goes on
        got.append(program.fetch(y.name))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_input_that_is_fed_once_stays(device):
    graph = Graph()
    g = Builder(graph)
    y = g.add(op("add"), g.input("a", f32(3)), g.input("b", f32(3)))
    graph.output(y.name)
    program = plan_of(graph, device).program
    program.feed("a", np.ones(3, np.float32))
    for i in range(5):
        program.feed("b", np.full(3, i, np.float32))
        program.run()
    assert program.fetch(y.name).tolist() == [5, 5, 5]


def test_the_hosts_nodes_stand_between_launches(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(1, 2, 3, 3))
    y = g.add(op("tanh"), g.add(OnlyInNumpy(), g.add(op("exp"), x)))
    graph.output(y.name)
    plan = plan_of(graph, device)
    hosted = [step for step in plan.program.steps if step.device == "cpu"]
    assert [step.kernel for step in hosted] == ["only_in_numpy"]
    assert hosted[0].facts["reason"] == "`only_in_numpy` has no kernels"
    array = np.random.default_rng(0).standard_normal((1, 2, 3, 3)).astype(np.float32)
    close(plan({"x": array})[y.name], np.tanh(np.exp(array) + 1))


@pytest.mark.parametrize("fallback", ["warn", "error"])
def test_a_batch_of_nothing_is_nothing_to_tell_of(fallback):
    device = OpenCL(device_ids()[0], fallback=fallback)
    g = Builder(Graph())
    y = g.add(op("relu"), g.add(op("dense", units=3), g.input("x", f32(0, 5))))
    g.graph.output(y.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Session(device).run(g.graph, {"x": np.zeros((0, 5), np.float32)})[y.name].shape == (0, 3)


def test_float64_runs_on_the_host(device):
    graph = Graph()
    g = Builder(graph)
    y = g.add(op("exp"), g.input("x", TensorType(DType.float64, (3,))))
    graph.output(y.name)
    got = Session(device).run(graph, {"x": np.array([0.0, 1.0, 2.0])})[y.name]
    np.testing.assert_array_equal(got, np.exp([0.0, 1.0, 2.0]))


def test_parameters_change_in_place(device):
    """A step's updates are written where the parameters lie: the arena holds no copy of them."""
    graph = training_step([("dense", {"units": 3})], (1000,), 3)
    plan = plan_of(graph, device)
    program = plan.program
    assert not [step for step in program.steps if step.kernel == "copy"]
    assert (
        program.schedule.arena_bytes < 4 * 1000 * 3 * 3
    )  # the gradient, and little else; not the new weights and velocities


def test_what_depends_on_parameters_alone_runs_when_they_change(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(1, 16, 6, 6))
    y = g.add(op("conv2d", channels=16, kernel=3, padding=1, bias=False), x, name="conv")
    graph.output(y.name)
    session = Session(device)
    plan = session.plan(graph, {})
    if device.target.kind == "cpu":
        assert any(step.facts["setup"] for step in plan.program.steps)
    array = np.random.default_rng(0).standard_normal((1, 16, 6, 6)).astype(np.float32)
    before = plan({"x": array})["conv"]
    session.write({"conv.weight": 2 * session.read()["conv.weight"]})
    close(plan({"x": array})["conv"], 2 * before)


def test_run_checked_names_the_node_that_is_not_finite(device):
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(4))
    bad = g.add(op("log"), g.add(op("sub"), x, x), name="culprit")
    y = g.add(op("matmul"), g.add(op("reshape", shape=(1, 4)), bad), g.constant(np.ones((4, 2), np.float32)))
    graph.output(y.name)
    plan = plan_of(graph, device, without=["fuse_elementwise"])
    plan.program.feed("x", np.ones(4, np.float32))
    assert plan.program.run_checked() == "culprit"


def test_labels_are_checked_as_they_are_fed(device):
    graph = training_step(*NETWORKS["mlp"])
    arrays = feeds(graph)
    arrays["t"][1] = 3
    with pytest.raises(FlownetError) as caught:
        Session(device).run(graph, arrays)
    assert caught.value.diagnostics[0].code == "label-range"


def test_a_plugins_own_opencl_wins(device):
    from dataclasses import dataclass

    from flownet.op import Op

    @dataclass(frozen=True)
    class Twice(Op):
        """y = 2x"""

        name = "twice"

        def infer(self, x):
            return x

        def forward(self, x):
            return 2 * x

        def opencl(self, g, x):
            n = int(x.type.size)
            return g.add(
                Template(
                    "twice",
                    ("x",),
                    (("y", x.type),),
                    "y[i] = $two * x[i];",
                    n,
                    (("two", 2.0),),
                    meaning=lambda x: 2 * x,
                ),
                x=x,
            )

    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(Twice(), g.input("x", f32(5)), name="y").name)
    plan = plan_of(graph, device)
    assert [step.kernel for step in plan.program.steps] == ["twice"]
    assert plan({"x": np.arange(5, dtype=np.float32)})["y"].tolist() == [0, 2, 4, 6, 8]


def test_plan_and_profile_say_what_there_is(device):
    graph = training_step(*NETWORKS["batch_norm"])
    session = Session(device)
    plan = session.plan(graph, {})
    plan(feeds(graph))
    document = plan_document(plan)
    assert document["peak_bytes"] >= document["arena_bytes"] > 0
    assert {"kernel", "nodes", "device", "flops", "bytes", "lines"} <= set(document["steps"][0])
    buffers = document["buffers"]
    for a in buffers:  # what lives at the same time does not overlap
        for b in buffers:
            if a is not b and a["first"] <= b["last"] and b["first"] <= a["last"]:
                assert a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"], (a, b)
    measured = measure(plan, 2)
    assert len(measured) == len(plan.program.steps) and all(m.seconds > 0 for m in measured)
    events = [event for event in trace(measured, plan.graph)["traceEvents"] if event["ph"] == "X"]
    assert events[-1]["ts"] == pytest.approx(sum(e["dur"] for e in events[:-1]))


def test_rates_are_told_of_steps_that_last_long_enough_to_be_told_from_their_launch():
    step = Step(lambda: None, (), "copy", "opencl", flops=10**6, bytes=10**6)
    assert (Measured(step, 1e-4).gflops, Measured(step, 1e-4).gbytes) == pytest.approx((10.0, 10.0))
    short = Measured(step, 1e-7)  # 10,000 GFLOP/s
    assert np.isnan(short.gflops) and np.isnan(short.gbytes)
    event = trace([short], Graph())["traceEvents"][-1]
    assert event["name"] == "copy" and "GFLOP/s" not in event["args"]
    json.dumps(event, allow_nan=False)
