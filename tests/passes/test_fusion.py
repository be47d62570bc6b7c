"""What the fusing and layout passes leave of a graph: structure."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.kernels import (
    Block,
    Convolution2D,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    Fused,
    MatMul,
    Reduce,
    Unblock,
)
from flownet.op import Elementwise
from flownet.passes.assign_layouts import assign_layouts
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.passes.fuse_elementwise import fuse_elementwise
from flownet.passes.fuse_epilogues import fuse_epilogues
from flownet.passes.fuse_reductions import fuse_reductions
from flownet.passes.lower import Fallback, lower
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.passes.verify import verify
from flownet.registry import default_registry
from flownet.types import DType, TensorType
from tests.passes.small_networks import NETWORKS, OnlyInNumpy, op, training_step

CONVOLUTIONS = (Convolution2D, ConvolutionInputGradient, ConvolutionWeightGradient)
TARGET = Target(vector=16, registers=32)


def f32(*shape):
    return TensorType(DType.float32, shape)


def elementwise(g, text, **operands):
    return g.add(Elementwise((("y", parse(text)),), tuple(operands)), **operands)


def compiled(graph, without=()):
    for step in opencl_pipeline("error"):
        if step.name not in without:
            graph = step.run(graph, TARGET)
            verify(graph, step.name)
    return graph


def kinds(graph, kind):
    return [n for n in graph.nodes.values() if isinstance(n.op, kind) or isinstance(getattr(n.op, "base", None), kind)]


def reorders(graph):
    """Those of images; what has one pixel has the same bytes in both layouts."""
    nodes = [*kinds(graph, Block), *kinds(graph, Unblock)]
    return [n for n in nodes if np.prod(graph.values[n.outputs[0]].type.shape[2:4]) > 1]


def test_a_chain_becomes_one_node():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(4, 5))
    y = elementwise(g, "a * 2", a=elementwise(g, "exp(b)", b=elementwise(g, "c + 1", c=x)))
    graph.output(y.name)
    (node,) = fuse_elementwise(graph).nodes.values()
    assert str(node.op) == "elementwise[y0 = mul(exp(add(x0, 1.0)), 2.0)]"


def test_what_others_read_too_becomes_a_second_output():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(4))
    a = elementwise(g, "x + 1", x=x)
    graph.outputs = {"a": a.name, "b": elementwise(g, "a * a", a=a).name}
    (node,) = fuse_elementwise(graph).nodes.values()
    assert len(node.outputs) == 2


def test_a_fetched_value_that_its_reader_makes_joins_on():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(4, 5))
    first = elementwise(g, "exp(a)", a=x)
    second = elementwise(g, "a + 1", a=first)
    third = elementwise(g, "a * 2", a=second)
    graph.outputs = {"first": first.name, "third": third.name}
    (node,) = fuse_elementwise(graph).nodes.values()
    assert set(node.outputs) == {first.name, third.name}


def test_no_fusion_round_a_product():
    """y = f(x), z = y + product(y): joining f and the sum would make a circle."""
    graph = Graph()
    g = Builder(graph)
    y = elementwise(g, "exp(x)", x=g.input("x", f32(4, 4)))
    z = elementwise(g, "a + b", a=y, b=g.add(MatMul(), y, y))
    graph.output(z.name)
    fused = fuse_elementwise(graph)
    verify(fused)
    assert len(fused.nodes) == 3


def test_bias_and_activation_go_into_the_product():
    graph = Graph()
    g = Builder(graph)
    y = g.add(op("relu"), g.add(op("dense", units=8), g.input("x", f32(4, 6))))
    graph.output(y.name)
    (node,) = compiled(graph).nodes.values()
    assert isinstance(node.op, Fused) and isinstance(node.op.base, MatMul)


def test_batch_norm_sums_in_the_epilogue_of_the_convolution():
    graph = compiled(training_step(*NETWORKS["batch_norm"]))
    forward = [n for n in graph.nodes.values() if isinstance(n.op, Fused) and isinstance(n.op.base, Convolution2D)]
    assert len(forward) == 2 and all(len(n.op.sums) == 2 for n in forward)
    # what is left of the reductions: the global mean, cross entropy's three, sums of gradients that no kernel makes
    assert len([n for n in graph.nodes.values() if isinstance(n.op, Reduce) and n.name.startswith("batch_norm/")]) == 0


def test_images_are_reordered_at_the_borders_alone():
    graph = compiled(training_step(*NETWORKS["batch_norm"]))
    # the input of 5 channels, once; its gradient is not wanted, and the mean over pixels ends the region
    assert [next(iter(n.inputs.values())) for n in reorders(graph)] == ["x"]


def test_without_layouts_each_convolution_has_reorders_of_its_own():
    graph = training_step(*NETWORKS["batch_norm"])
    apart, together = compiled(graph, without=["assign_layouts"]), compiled(graph)
    convolutions = [n for n in apart.nodes.values() if isinstance(getattr(n.op, "base", n.op), CONVOLUTIONS)]
    assert len(reorders(together)) == 1 and len(reorders(apart)) >= len(convolutions) == 5
    assert all(getattr(n.op, "base", n.op).blocked for n in convolutions)
    norms = [n for n in apart.nodes.values() if hasattr(n.op, "expressions") and n.name.startswith("batch_norm")]
    assert norms and all(apart.values[n.outputs[0]].type.rank < 5 for n in norms)


def test_a_gpu_keeps_plain_images():
    graph = lower(training_step(*NETWORKS["convolutions"]), dict(default_registry().items("kernel")))
    assert assign_layouts(graph, Target("gpu", 4)) is graph


def test_lanes_past_the_last_channel_stay_zero():
    """exp(0) is not 0: 5 channels in blocks of 16 need a mask."""
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(1, 8, 4, 4))
    y = elementwise(g, "exp(y)", y=g.add(op("conv2d", channels=5, kernel=1, bias=False), x))
    graph.output(y.name)
    graph = lower(graph, dict(default_registry().items("kernel")))
    (node,) = [n for n in assign_layouts(graph, TARGET).nodes.values() if hasattr(n.op, "expressions")]
    assert "lanes" in node.inputs


def test_sibling_reductions_take_one_pass():
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", f32(4, 5))
    a, b = g.add(Reduce.of("sum", (0,)), x), g.add(Reduce.of("max", (0,)), x)
    graph.output(a.name, b.name)
    (node,) = fuse_reductions(graph).nodes.values()
    assert [kind for _, kind, _ in node.op.terms] == ["sum", "max"]


def test_an_epilogue_does_not_wait_for_itself():
    """(x w) + f(sum of x w): the sum must be complete first."""
    graph = Graph()
    g = Builder(graph)
    y = g.add(MatMul(), g.input("x", f32(4, 6)), g.input("w", f32(6, 8)))
    total = g.add(Reduce.of("sum", (0,), True), y)
    z = elementwise(g, "y - s", y=y, s=total)
    graph.output(z.name)
    fused = fuse_epilogues(graph, TARGET)
    verify(fused)
    assert {type(n.op) for n in fused.nodes.values()} == {Fused, Elementwise}


def test_a_product_that_took_in_what_came_later_counts_as_late_itself():
    """The gradient of a net's last values does not need them: its products stand early, until they take in what follows layers
    that stand late. Products that are looked at then must not take them for early."""
    graph = Graph()
    g = Builder(graph)
    h = g.input("x", f32(4, 8))
    for _ in range(3):
        h = g.add(
            op("dense", units=8), g.add(op("dropout", rate=0.5), g.add(op("relu"), g.add(op("dense", units=8), h)))
        )
    wrt = [value.name for value in graph.parameters]
    graph = expand_composites(graph)
    graph, gradients = differentiate(graph, h.name, wrt)
    graph.outputs = {"h": h.name, **{f"d{name}": gradients[name] for name in wrt}}
    graph.updates = {}
    compiled(graph)  # verifies the graph behind every pass


def test_what_has_no_kernels_is_placed_on_the_host_or_refused():
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(OnlyInNumpy(), g.input("x", f32(1, 1, 2, 2))).name)
    kernels = dict(default_registry().items("kernel"))
    (node,) = lower(graph, kernels).nodes.values()
    assert node.device == "cpu"
    with pytest.raises(FlownetError, match="has no kernels"):
        lower(graph, kernels, fallback="error")


def test_float64_is_placed_on_the_host():
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(op("relu"), g.input("x", TensorType(DType.float64, (3,)))).name)
    (node,) = lower(graph, {}).nodes.values()
    assert node.device == "cpu"


def test_a_lowering_of_the_wrong_type_is_told():
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(op("softmax"), g.input("x", f32(3, 4)), name="y").name)
    with pytest.raises(FlownetError, match="where float32"):
        lower(graph, {"softmax": lambda op, g, x: g.add(Reduce.of("sum", (1,)), x)})


def test_a_lowering_may_decline():
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(op("softmax"), g.input("x", f32(3, 4)), name="y").name)

    def decline(op, g, x):
        raise Fallback("not today")

    with pytest.raises(FlownetError, match="not today"):
        lower(graph, {"softmax": decline}, fallback="error")
