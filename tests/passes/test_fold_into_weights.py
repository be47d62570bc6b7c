"""Batch norm and its kin in the weights of the layer above: what is left of the graph, its values, and what is left alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.expression import Number, evaluate, parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise, Op
from flownet.passes.expand_composites import expand_composites
from flownet.passes.fold_into_weights import fold_into_weights, linear_in
from flownet.passes.specialise_inference import specialise_inference
from flownet.passes.unchanging import set_up_first, unchanging
from flownet.passes.verify import verify
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened
from tests.ops.beside_torch import numbers
from tests.ops.convolution.test_conv2d import looped
from tests.passes.small_networks import first, op

IMAGE = (2, 4, 7, 6)


def f32(*shape):
    return TensorType(DType.float32, shape)


def graph_of(*layers, shape=IMAGE, inference=True):
    """Layers behind each other: (op, attributes) with parameters of their own, or an expression of y and of parameters `a`, `b`."""
    graph = Graph()
    g = Builder(graph)
    h = g.input("x", f32(*shape))
    for i, (layer, attributes) in enumerate(layers):
        if isinstance(attributes, dict):
            h = first(g.add(op(layer, **attributes), h, name=f"{layer}_{i}"))
            continue
        term = Elementwise((("y", parse(layer)),), ("y", *"ab"[: len(attributes)]))
        known = {n: g.parameter(f"{n}_{i}", f32(*s), 1.5) for n, s in zip("ab", attributes, strict=False)}
        h = g.add(term, y=h, name=f"term_{i}", **known)
    graph.output(h.name)
    return specialise_inference(graph) if inference else expand_composites(graph)


def weights_for(graph, seed=0):
    """Numbers for all parameters and states, of the size that trained ones have."""
    found = {}
    for i, value in enumerate((*graph.parameters, *graph.states)):
        array = numbers(*value.type.shape, seed=seed + i)
        found[value.name] = (np.abs(array) + 0.5 if "var" in value.name else array).astype(np.float32)
    return found


def run_nodes(graph):
    """What a run computes, the set-up of weights left out; views are no work."""
    return [
        node.op.name for node in set_up_first(graph, graph.topological(), unchanging(graph))[1] if not node.op.is_view
    ]


def normalised(y, weights, norm):
    """The formula of a batch norm outside of training, in float64."""
    scale, bias, mean, var = (
        weights[f"{norm}.{name}"].astype(np.float64).reshape(-1, *(1,) * (y.ndim - 2))
        for name in ("scale", "bias", "running_mean", "running_var")
    )
    return scale * (y - mean) / np.sqrt(var + 1e-5) + bias


def convolved(x, weights, name, stride=1, padding=0, dilation=1, groups=1):
    w = weights[f"{name}.weight"].astype(np.float64)
    b = weights.get(f"{name}.bias", np.zeros(len(w))).astype(np.float64)
    return looped(x.astype(np.float64), w, b, stride, padding, dilation, groups)


def transposed(x, weights, name, stride=1, groups=1):
    """Each pixel puts its filters onto the output, those of its own group."""
    w = weights[f"{name}.weight"].astype(np.float64)
    c, per_group, kh, kw = w.shape
    n, _, h, wide = x.shape
    y = np.zeros((n, per_group * groups, (h - 1) * stride + kh, (wide - 1) * stride + kw))
    if f"{name}.bias" in weights:
        y += weights[f"{name}.bias"].astype(np.float64)[:, None, None]
    for image, channel, i, j in np.ndindex(x.shape):
        for k, r, s in np.ndindex(per_group, kh, kw):
            filter_ = channel // (c // groups) * per_group + k
            y[image, filter_, i * stride + r, j * stride + s] += float(x[image, channel, i, j]) * w[channel, k, r, s]
    return y


def dense(x, weights, name):
    y = x.astype(np.float64) @ weights[f"{name}.weight"].astype(np.float64).T
    return y + weights[f"{name}.bias"].astype(np.float64) if f"{name}.bias" in weights else y


LAYERS = {
    "conv2d": ("conv2d", {"channels": 6, "kernel": 3, "padding": 1, "bias": False}, convolved, {"padding": 1}),
    "with a bias": ("conv2d", {"channels": 6, "kernel": 3}, convolved, {}),
    "strided": ("conv2d", {"channels": 5, "kernel": 2, "stride": 2, "padding": 1}, convolved, {"stride": 2, "padding": 1}),
    "dilated": ("conv2d", {"channels": 3, "kernel": 2, "dilation": 3, "bias": False}, convolved, {"dilation": 3}),
    "groups": ("conv2d", {"channels": 6, "kernel": 3, "groups": 2}, convolved, {"groups": 2}),
    "depthwise": ("conv2d", {"channels": 8, "kernel": 3, "groups": 4, "bias": False}, convolved, {"groups": 4}),
    "winograd": ("conv2d", {"channels": 32, "kernel": 3, "padding": 1, "bias": False}, convolved, {"padding": 1}),
    "transposed": ("conv_transpose2d", {"channels": 6, "kernel": 3, "stride": 2}, transposed, {"stride": 2}),
    "transposed groups": ("conv_transpose2d", {"channels": 6, "kernel": 2, "groups": 2, "bias": False}, transposed, {"groups": 2}),
    "transposed depthwise": ("conv_transpose2d", {"channels": 4, "kernel": 2, "groups": 4}, transposed, {"groups": 4}),
    "dense": ("dense", {"units": 5, "bias": False}, dense, {}),
    "dense with a bias": ("dense", {"units": 19}, dense, {}),
}  # fmt: skip


def layer_and_norm(name):
    """(graph, what it computes by loops in float64)"""
    kind, attributes, reference, geometry = LAYERS[name]
    shape = (3, 9) if kind == "dense" else (1, 32, 12, 12) if name == "winograd" else IMAGE
    graph = graph_of((kind, attributes), ("batch_norm", {}), shape=shape)
    return graph, lambda x, w: normalised(reference(x, w, f"{kind}_0", **geometry), w, "batch_norm_1")


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_norm_goes_into_the_weights(name):
    graph, _ = layer_and_norm(name)
    folded = fold_into_weights(graph)
    verify(folded)
    assert run_nodes(folded) == [LAYERS[name][0]]
    assert folded.outputs == graph.outputs
    (layer,) = (node for node in folded.nodes.values() if node.op.name == LAYERS[name][0])
    assert "bias" in layer.inputs and layer.op.bias
    assert len(run_nodes(graph)) == 2, "the case shows nothing"


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "device", ["cpu", *(pytest.param(id, marks=pytest.mark.opencl) for id in device_ids_and_gpu())]
)
def test_the_values_are_those_of_both(name, device):
    graph, expected = layer_and_norm(name)
    weights = weights_for(graph)
    x = numbers(*graph.inputs[0].type.shape, seed=9).astype(np.float32)
    want = expected(x, weights)
    for without in ((), ("fold_into_weights",)):
        session = Session(CPU() if device == "cpu" else opened(device), without=without, check=True)
        session.initialise(graph)
        session.write(weights)
        (got,) = session.run(graph, {"x": x}).values()
        # float32: Winograd's sums, and numbers a hundred times the largest of those that they are made of
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=3e-5 * np.abs(want).max())


CONV = ("conv2d", {"channels": 6, "kernel": 3})


@pytest.mark.parametrize(
    ("terms", "formula"),
    [
        ([("y * 2 + a", [(6, 1, 1)])], lambda y, a: y * 2 + a),
        ([("(a - y) / b", [(6, 1, 1), (1,)])], lambda y, a, b: (a - y) / b),
        ([("y * a", [(1, 6, 1, 1)]), ("-y", []), ("y + 3", [])], lambda y, a: -(y * a) + 3),
        ([("y + a", [()])], lambda y, a: y + a),
        ([("y + y * a", [(6, 1, 1)])], lambda y, a: y + y * a),
    ],
)
def test_whatever_is_linear_folds_one_term_behind_the_other(terms, formula):
    graph = graph_of(CONV, *terms)
    folded = fold_into_weights(graph)
    verify(folded)
    assert run_nodes(folded) == ["conv2d"]
    weights, x = weights_for(graph), numbers(*IMAGE).astype(np.float32)
    parameters = [array.astype(np.float64) for name, array in weights.items() if name.startswith(("a_", "b_"))]
    want = formula(convolved(x, weights, "conv2d_0"), *parameters)
    session = Session(CPU())
    session.initialise(graph)
    session.write(weights)
    (got,) = session.run(graph, {"x": x}).values()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@dataclass(frozen=True)
class Gains(Op):
    """y = weight · x, one gain a column: a plugin's layer without a bias."""

    name = "gains"
    channel_axis = -1

    def infer(self, x, weight):
        return x

    def forward(self, x, weight):
        return x * weight


def test_a_plugins_layer_says_where_its_channels_are():
    def folded(text):
        g = Builder(Graph())
        x, weight, a = (g.input("x", f32(2, 3)), g.parameter("w", f32(3), 1.0), g.parameter("a", f32(3), 1.0))
        term = Elementwise((("y", parse(text)),), ("y", "a"))
        g.graph.output(g.add(term, y=g.add(Gains(), x, weight), a=a).name)
        return run_nodes(fold_into_weights(g.graph))

    assert folded("y * a") == ["gains"]
    assert folded("y * a + 1") == ["gains", "elementwise"]  # there is no bias for it


def test_an_offset_alone_leaves_the_weights_as_they_are():
    folded = fold_into_weights(graph_of(CONV, ("y + a", [(6, 1, 1)])))
    assert folded.nodes["conv2d_0"].inputs["weight"] == "conv2d_0.weight"


def test_a_factor_alone_brings_no_bias():
    folded = fold_into_weights(
        graph_of(("conv2d", {"channels": 6, "kernel": 3, "bias": False}), ("y * a", [(6, 1, 1)]))
    )
    assert "bias" not in folded.nodes["conv2d_0"].inputs


@pytest.mark.parametrize(
    "term",
    [
        ("y * y", []), ("maximum(y, 0)", []), ("a / y", [(6, 1, 1)]), ("y * 0", []),
        ("y + a", [(5, 4)]),  # a number a pixel
        ("y + a", [(2, 1, 1, 1)]),  # a number an example
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_linear_or_not_of_channels_stays(term):
    graph = graph_of(CONV, term)
    assert run_nodes(fold_into_weights(graph)) == run_nodes(graph)


def test_a_norm_along_another_axis_than_the_layers_stays():
    """A sequence [n, t, d] has t channels, and a dense layer works along d."""
    graph = graph_of(("dense", {"units": 5}), ("batch_norm", {}), shape=(2, 3, 4))
    assert len(run_nodes(fold_into_weights(graph))) == 2


def test_a_result_that_others_read_stays():
    graph = graph_of(CONV, ("batch_norm", {}))
    before = run_nodes(graph)
    graph.output("conv2d_0")
    assert run_nodes(fold_into_weights(graph)) == before

    graph = graph_of(CONV, ("batch_norm", {}))
    g = Builder(graph)
    graph.output(g.add(op("relu"), graph.values["conv2d_0"]).name)
    assert sorted(run_nodes(fold_into_weights(graph))) == sorted([*before, "relu"])


def test_a_batch_norm_in_training_stays():
    graph = graph_of(CONV, ("batch_norm", {}), inference=False)
    assert list(fold_into_weights(graph).nodes) == list(graph.nodes)


@pytest.mark.parametrize("changing", ["conv2d_0.weight", "conv2d_0.bias", "batch_norm_1.running_var"])
def test_what_the_graph_itself_changes_stays(changing):
    graph = graph_of(CONV, ("batch_norm", {}))
    same = Builder(graph).add(op("relu"), graph.values[changing], name="next")
    graph.updates[changing] = same.name
    assert run_nodes(fold_into_weights(graph)).count("elementwise") == run_nodes(graph).count("elementwise") >= 1


def test_a_scale_that_is_fed_stays():
    graph = graph_of(CONV)
    g = Builder(graph)
    factor = g.input("factor", f32(6, 1, 1))
    graph.outputs = {"y": g.add(op("mul"), graph.values["conv2d_0"], factor).name}
    assert run_nodes(fold_into_weights(graph)) == ["conv2d", "mul"]


def test_the_nodes_of_a_layer_stand_where_it_stood():
    """The order of execution, and with it the memory, is that of the file."""
    conv = ("conv2d", {"channels": 16, "kernel": 3, "padding": 1, "bias": False})
    graph = graph_of(*3 * (conv, ("batch_norm", {}), ("relu", {})), shape=(1, 16, 5, 5))
    folded = fold_into_weights(graph)
    run = [node.name for node in set_up_first(folded, folded.nodes.values(), unchanging(folded))[1]]
    assert run == ["conv2d_0", "relu_2", "conv2d_3", "relu_5", "conv2d_6", "relu_8"]
    names = list(folded.nodes)
    assert names.index("relu_2") < names.index("conv2d_3/folded/weight") < names.index("conv2d_3")


@pytest.mark.parametrize(
    "text", ["3 - y", "(y - m) / s + 3", "-(y * s - m) * 2", "y + y / s", "exp(m) * y - sqrt(s)", "m + 0 * s + y"]
)
def test_a_linear_expression_is_taken_apart(text):
    m, s, y = 0.7, 1.9, np.array([-2.0, 0.3, 5.0])
    found = linear_in(parse(text), "y")
    assert found is not None
    factor, offset = (evaluate(term, {"m": m, "s": s}) for term in found)
    np.testing.assert_allclose(factor * y + offset, evaluate(parse(text), {"m": m, "s": s, "y": y}), rtol=1e-14)


@pytest.mark.parametrize("text", ["y * y", "1 / y", "exp(y)", "y * (y + 1)", "where(y > 0, y, m)", "y ** 2"])
def test_one_that_is_not_linear_is_not(text):
    assert linear_in(parse(text), "y") is None


def test_an_expression_without_the_name_has_no_factor():
    assert linear_in(parse("m * 2"), "y") == (Number(0.0), parse("m * 2"))
