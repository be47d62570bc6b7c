"""The graph of one training step: forward, loss, backward, clipping and the optimiser's updates, all of them nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flownet.collector import paused_collector
from flownet.errors import FlownetError
from flownet.expression import parse
from flownet.graph import Builder, Graph, Kind, Origin, Value
from flownet.op import Elementwise, SumTo
from flownet.passes.differentiate import differentiate, sum_of
from flownet.passes.expand_composites import expand_composites
from flownet.passes.specialise_inference import specialise_inference
from flownet.types import DType, TensorType

__all__ = ["LEARNING_RATE", "STEP", "evaluation_graph", "training_graph"]

LEARNING_RATE, STEP = "train/learning_rate", "train/step"


@paused_collector()
def training_graph(section: Any) -> Graph:
    """The graph that `Plan.run` takes one step with.

    section: a `TrainSection` of `flownet.language`

    Its inputs are the network's and the targets, `train/learning_rate` (float[]) and `train/step` (float[], counted from 1);
    its outputs are `loss` and `metrics/<name>`; its updates are the parameters and the optimiser's states, which are
    called `optimizer/<parameter>.<state>`. Nodes that no update needs and nobody fetches are not there.
    """
    graph = section.graph.copy()
    graph.outputs = {}
    dtype = graph.values[section.loss].type.dtype
    g = Builder(graph, origin=_origin(section, "regularise"))
    loss = _with_regularisation(g, graph.values[section.loss], section.regularise or {})
    graph.outputs["loss"] = loss.name
    graph.outputs.update({f"metrics/{name}": value for name, value in section.metrics.items()})
    graph = expand_composites(graph)
    trained = [value.name for value in graph.parameters if value.trainable]
    if not trained:
        raise FlownetError.of(
            "nothing-to-train", "the graph has no trainable parameter", help="unfreeze a node, or use `flownet eval`"
        )
    graph, gradients = differentiate(graph, graph.outputs["loss"], trained)
    g = Builder(graph, origin=_origin(section, "clip"))
    clipped = _clipped(g, {name: graph.values[gradients[name]] for name in trained}, section.clip or {})
    inputs = {
        "learning_rate": g.input(LEARNING_RATE, TensorType(dtype, ())),
        "step": g.input(STEP, TensorType(dtype, ())),
    }
    for name in trained:
        operands = {"parameter": graph.values[name], "gradient": clipped[name], **inputs}
        used = {a: value for a, value in operands.items() if a in section.optimizer.signature_inputs}
        g.origin = _origin(section, "optimizer", graph.values[name])
        g.add(section.optimizer, name=f"optimizer/{name}", **used)
    if "rng" in graph.values:
        from flownet.ops.random.advance_rng import AdvanceRng

        g.origin = Origin()
        g.add(AdvanceRng(), graph.values["rng"], name="advance_rng")
    return graph


def evaluation_graph(section: Any) -> Graph:
    """The graph that gives `loss` and `metrics/<name>` on one batch, as outside of training; it updates nothing."""
    graph = section.graph.copy()
    graph.outputs = {"loss": section.loss, **{f"metrics/{name}": value for name, value in section.metrics.items()}}
    return specialise_inference(graph)


def _origin(section: Any, key: str, parameter: Value | None = None) -> Origin:
    """Where a key of the section stands, and behind it the node whose parameter is concerned."""
    return Origin(section.places.get(key), fused=parameter.origin.spans if parameter else ())


def _with_regularisation(g: Builder, loss: Value, weights: Mapping[str, float]) -> Value:
    """loss + l2·½Σθ² + l1·Σ|θ| over the trainable parameters."""
    penalties = {"l2": ("0.5 * {0} * x * x", "{0} * x * dy"), "l1": ("{0} * abs(x)", "{0} * sign(x) * dy")}
    terms = [loss]
    for kind, weight in weights.items():
        if weight == 0:
            continue
        value, gradient = (parse(text.format(float(weight))) for text in penalties[kind])
        penalty = Elementwise((("y", value),), ("x",), (("x", gradient),))
        for parameter in [v for v in g.graph.parameters if v.trainable]:
            terms.append(g.add(SumTo(()), g.add(penalty, x=parameter)))
    return loss if len(terms) == 1 else sum_of(g, terms)


def _clipped(g: Builder, gradients: dict[str, Value], clip: Mapping[str, float]) -> dict[str, Value]:
    """The gradients, limited: `value` cuts each element, `norm` scales all of them so that their joint norm is at most that."""
    if limit := clip.get("value"):
        expression = parse(f"minimum(maximum(x, {-float(limit)}), {float(limit)})")
        operation = Elementwise((("y", expression),), ("x",))
        gradients = {name: g.add(operation, x=value, name=f"clip/{name}") for name, value in gradients.items()}
    if limit := clip.get("norm"):
        square = Elementwise((("y", parse("x * x")),), ("x",))
        squares = [g.add(SumTo(()), g.add(square, x=value)) for value in gradients.values()]
        # 1e-6 keeps the quotient finite for gradients of zero, as torch.nn.utils.clip_grad_norm_ does
        scale = Elementwise((("y", parse(f"minimum(1, {float(limit)} / (sqrt(x) + 1e-6))")),), ("x",))
        factor = g.add(scale, x=sum_of(g, squares) if len(squares) > 1 else squares[0])
        product = Elementwise((("y", parse("x * factor")),), ("x", "factor"))
        gradients = {
            name: g.add(product, x=value, factor=factor, name=f"clip_norm/{name}") for name, value in gradients.items()
        }
    return gradients


def with_dtype(graph: Graph, dtype: DType) -> Graph:
    """The graph computed in another floating-point type: every float value of it, parameters included."""
    twin = graph.copy()

    def converted(type_: TensorType) -> TensorType:
        return type_.with_dtype(dtype) if type_.dtype.is_float else type_

    for name, value in graph.values.items():
        initial = value.initial
        if value.kind is Kind.CONSTANT:
            initial = np.asarray(initial)
            initial = initial.astype(dtype.numpy) if initial.dtype.kind == "f" else initial
        elif initial is not None and hasattr(initial, "type"):
            initial = replace(initial, type=converted(initial.type))
        twin.values[name] = replace(value, type=converted(value.type), initial=initial)
    return twin
