"""What is computed a second time, what is not, and that the numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.devices.opencl.target import Target
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.passes.order_nodes import order_nodes
from flownet.passes.pipeline import run_passes
from flownet.passes.plan_memory import plan_memory
from flownet.passes.recompute import recompute
from flownet.passes.verify import verify
from flownet.types import DType, TensorType
from tests.passes.small_networks import NETWORKS, feeds, op, training_step

TARGET = Target(vector=16, registers=32)
SIZE = 1 << 16


def f32(*shape):
    return TensorType(DType.float32, shape)


def elementwise(g, text, name, **operands):
    return g.add(Elementwise((("y", parse(text)),), tuple(operands)), name=name, **operands)


def peak(graph):
    return plan_memory(graph, order_nodes(graph), external=graph.updates.values()).arena_bytes


def hourglass(cheap="maximum(x, 0)", keeps_x=True):
    """x -> cheap, which is read at once and at the end; between them two large values live beside it."""
    graph = Graph()
    g = Builder(graph)
    fed = g.input("fed", f32(4, SIZE))
    x = g.add(op("softmax"), fed, name="x")
    middle = elementwise(g, cheap, "cheap", x=x) if cheap else g.add(op("softmax"), x, name="cheap")
    small = g.add(op("sum", axes=(1,), keepdims=True), middle, name="early")
    large = g.add(op("softmax"), elementwise(g, "s + f", "large", s=small, f=fed), name="larger")
    small = g.add(op("sum", axes=(1,), keepdims=True), large, name="small")
    late = g.add(op("sum", axes=(1,), keepdims=True), middle, name="late")
    last = {"a": late, "s": small} | ({"b": x} if keeps_x else {})
    graph.output(elementwise(g, "a + s" + (" * b" if keeps_x else ""), "end", **last).name)
    return graph


def again(graph):
    return [name for name in graph.nodes if name.endswith("/again")]


def test_a_cheap_value_is_made_again_where_it_is_wanted_late():
    graph = hourglass()
    made = recompute(graph)
    verify(made)
    assert again(made) == ["cheap/again"]
    assert made.nodes["late"].inputs["x"] == "cheap/again" and made.nodes["early"].inputs["x"] == "cheap"
    order = [node.name for node in order_nodes(made)]
    assert order.index("cheap/again") == order.index("late") - 1
    assert peak(made) <= peak(graph) - 4 * 4 * SIZE + 1024  # the sums are small, not nothing
    fed = np.random.default_rng(0).standard_normal((4, SIZE)).astype(np.float32)
    want, got = (Session(CPU()).run(g, {"fed": fed})["end"] for g in (graph, made))
    np.testing.assert_array_equal(got, want)


def test_two_results_of_one_node_are_each_made_again():
    """Their copies need names of their own: one of them was lost, and its readers found what lay there before."""
    graph = Graph()
    g = Builder(graph)
    fed = g.input("fed", f32(4, SIZE))
    texts = {"low": "minimum(x, 0)", "high": "maximum(x, 0)"}
    pair = Elementwise(tuple((name, parse(text)) for name, text in texts.items()), ("x",))
    low, high = g.add(pair, name="pair", x=g.add(op("softmax"), fed, name="x"))
    sums = [g.add(op("sum", axes=(1,), keepdims=True), value) for value in (low, high)]
    large = g.add(op("softmax"), elementwise(g, "a + b + f", "large", a=sums[0], b=sums[1], f=fed), name="larger")
    small = g.add(op("sum", axes=(1,), keepdims=True), large, name="small")
    late = [g.add(op("sum", axes=(1,), keepdims=True), value) for value in (low, high)]
    graph.output(elementwise(g, "a + b + s", "end", a=late[0], b=late[1], s=small).name)
    graph.output("x")  # so that both can be made of it
    made = recompute(graph)
    verify(made)
    assert len(again(made)) == 2
    fed = np.random.default_rng(0).standard_normal((4, SIZE)).astype(np.float32)
    want, got = (Session(CPU()).run(g, {"fed": fed}) for g in (graph, made))
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


def test_not_where_its_operand_would_have_to_be_kept_for_it():
    graph = hourglass(keeps_x=False)
    assert recompute(graph) is graph


def test_not_what_is_fetched():
    graph = hourglass()
    graph.output("cheap")
    assert recompute(graph) is graph


def test_not_what_costs_more_than_a_pass_over_memory():
    graph = hourglass(cheap="")
    assert recompute(graph) is graph


@pytest.mark.parametrize("depth", [3, 6])
def test_a_chain_of_norms_keeps_one_tensor_a_layer(depth):
    layers = []
    for _ in range(depth):
        layers += [
            ("conv2d", {"channels": 16, "kernel": 3, "padding": 1, "bias": False}),
            ("batch_norm", {}),
            ("relu", {}),
        ]
    graph = training_step([*layers, ("global_avg_pool", {}), ("dense", {"units": 3})], (16, 40, 40), 3)
    kept = run_passes(graph, TARGET, opencl_pipeline("error"), without=["recompute"])
    made = recompute(kept)
    verify(made)
    # the last layer's is wanted at once; copies are of elementwise nodes alone, and none of them reads another one
    assert len(again(made)) == depth - 1
    copies = {value for name in again(made) for value in made.nodes[name].outputs}
    assert not any(copies & set(made.nodes[name].inputs.values()) for name in again(made))
    assert peak(made) <= peak(kept) - (depth - 2) * 4 * 4 * 16 * 40 * 40
    arrays = feeds(graph)
    want, got = (Session(CPU(), seed=3, passes=()).run(g, arrays) for g in (kept, made))
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_peak_never_rises(name):
    graph = run_passes(training_step(*NETWORKS[name]), TARGET, opencl_pipeline("error"), without=["recompute"])
    assert peak(recompute(graph)) <= peak(graph)
