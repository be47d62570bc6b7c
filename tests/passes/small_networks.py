"""Small training graphs in which every pass of the OpenCL compiler has something to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.graph import Builder, Graph
from flownet.op import Op
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.registry import default_registry
from flownet.types import DType, TensorType


@dataclass(frozen=True)
class OnlyInNumpy(Op):
    """y = x + 1, with no kernels: as what a plugin may bring"""

    name = "only_in_numpy"

    def infer(self, x):
        return x

    def forward(self, x):
        return x + np.float32(1)


def op(name, **attributes):
    return default_registry().get("op", name)(**attributes)


def training_step(layers, shape, classes, batch=4, optimizer=None):
    """The graph of one training step: cross entropy, gradients, updates."""
    graph = Graph("step")
    g = Builder(graph)
    h = g.input("x", TensorType(DType.float32, (batch, *shape)))
    for name, attributes in layers:
        inputs = [h]
        if name == "residual":  # the layers inside, added to what went in
            inner = h
            for inner_name, inner_attributes in attributes:
                inner = first(g.add(op(inner_name, **inner_attributes), inner))
            h = g.add(op("add"), inner, h)
            continue
        h = first(g.add(op(name, **attributes), *inputs))
    loss = g.add(op("cross_entropy"), h, g.input("t", TensorType(DType.int32, (batch,))))
    graph.outputs = {"loss": loss.name, "scores": h.name}
    graph = expand_composites(graph)
    trained = [value.name for value in graph.parameters if value.trainable]
    graph, gradients = differentiate(graph, graph.outputs["loss"], trained)
    g = Builder(graph)
    rate = g.input("rate", TensorType(DType.float32, ()))
    for name in trained:
        update = optimizer or op("sgd", momentum=0.9, weight_decay=1e-3)
        known = {"parameter": graph.values[name], "gradient": graph.values[gradients[name]], "learning_rate": rate}
        if "step" in update.signature_inputs:
            known["step"] = graph.values.get("step") or g.input("step", TensorType(DType.float32, ()))
        g.add(update, name=f"update/{name}", **known)
    if "rng" in graph.values:
        g.add(op("advance_rng"), graph.values["rng"])
    return graph


def first(values):
    return values[0] if isinstance(values, tuple) else values


def feeds(graph, seed=0, classes=3):
    """Inputs for a graph of `training_step`."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for value in graph.inputs:
        shape = tuple(value.type.shape)
        if value.name == "t":
            arrays["t"] = rng.integers(0, classes, shape).astype(np.int32)
        else:
            arrays[value.name] = {"rate": np.float32(0.05), "step": np.float32(1)}.get(value.name)
            if arrays[value.name] is None:
                arrays[value.name] = rng.standard_normal(shape).astype(np.float32)
    return arrays


CONV = ("conv2d", {"channels": 5, "kernel": 3, "padding": 1})
# smooth activations and means: a relu or a maximum near its kink would turn rounding into another branch
NETWORKS = {
    "mlp": ([("dense", {"units": 7}), ("tanh", {}), ("dense", {"units": 3})], (6,), 3),
    "convolutions": (
        [CONV, ("tanh", {}), ("avg_pool", {"kernel": 2}), ("conv2d", {"channels": 18, "kernel": 3, "stride": 2, "padding": 1}), ("sigmoid", {}),
         ("flatten", {}), ("dense", {"units": 3})], (3, 8, 8), 3),
    "batch_norm": (
        [("conv2d", {"channels": 16, "kernel": 3, "padding": 1, "bias": False}), ("batch_norm", {}), ("tanh", {}),
         # no bias below a batch norm: its gradient is rounding noise around 0, which Adam would blow up to full steps
         ("residual", [("conv2d", {"channels": 16, "kernel": 3, "padding": 1, "bias": False}), ("batch_norm", {}), ("tanh", {})]),
         ("global_avg_pool", {}), ("dense", {"units": 3})], (5, 9, 9), 3),
    "transposed": (
        [CONV, ("tanh", {}), ("conv_transpose2d", {"channels": 17, "kernel": 2, "stride": 2}), ("tanh", {}),
         ("global_avg_pool", {}), ("dense", {"units": 3})], (2, 6, 6), 3),
    "dropout": ([("dense", {"units": 40}), ("dropout", {"rate": 0.4}), ("tanh", {}), ("layer_norm", {}), ("dense", {"units": 3})], (6,), 3),
}  # fmt: skip
