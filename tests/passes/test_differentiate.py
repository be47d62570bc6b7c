"""Gradients against central differences in float64 and against calculus; structure: only what is needed."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu.device import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph, Value
from flownet.ops.activation.relu import Relu
from flownet.ops.activation.tanh import Tanh
from flownet.ops.arithmetic.add import Add
from flownet.ops.arithmetic.mul import Mul
from flownet.ops.linear.dense import Dense
from flownet.ops.reduction.sum import Sum
from flownet.passes.differentiate import differentiate
from flownet.passes.expand_composites import expand_composites
from flownet.types import DType, TensorType

DOUBLE = TensorType(DType.float64, (3, 4))


def gradients(graph: Graph, of: str, wrt: list[str], **inputs: np.ndarray) -> dict[str, np.ndarray]:
    graph.output(of)
    expanded = expand_composites(graph)
    derived, found = differentiate(expanded, expanded.outputs[of], wrt)
    derived.outputs = {name: found[name] for name in wrt}
    return Session(CPU(), seed=1).run(derived, inputs)


def by_differences(graph: Graph, of: str, inputs: dict[str, np.ndarray], name: str, step: float = 1e-6) -> np.ndarray:
    session = Session(CPU(), seed=1)
    graph.output(of)
    result = np.zeros_like(inputs[name])
    for index in np.ndindex(result.shape):
        moved = {n: a.copy() for n, a in inputs.items()}
        moved[name][index] += step
        above = session.run(graph, moved)[of].sum()
        moved[name][index] -= 2 * step
        result[index] = (above - session.run(graph, moved)[of].sum()) / (2 * step)
    return result


def test_a_network_with_a_skip_connection_against_central_differences() -> None:
    g = Builder(Graph())
    x = g.input("x", DOUBLE)
    hidden = g.add(Tanh(), g.add(Dense(units=4), x))
    joined = g.add(Add(), g.add(Mul(), hidden, x), hidden)
    g.add(Sum(), g.add(Dense(units=2), joined), name="loss")
    inputs = {"x": np.random.default_rng(0).normal(size=(3, 4))}
    # float64: 1e-6 steps leave a truncation error of 1e-12 and a rounding error of 1e-10
    np.testing.assert_allclose(
        gradients(g.graph, "loss", ["x"], **inputs)["x"], by_differences(g.graph, "loss", inputs, "x"), rtol=1e-6
    )


def test_a_value_that_is_used_three_times_gets_the_sum() -> None:
    g = Builder(Graph())
    x = g.input("x", DOUBLE)
    g.add(Sum(), g.add(Mul(), g.add(Mul(), x, x), x), name="cube")
    value = np.full((3, 4), 2.0)
    np.testing.assert_allclose(gradients(g.graph, "cube", ["x"], x=value)["x"], 12.0)  # d(x³) = 3x²


def test_of_a_value_that_is_no_scalar_the_sum_is_meant() -> None:
    g = Builder(Graph())
    g.add(Mul(), g.input("x", DOUBLE), g.input("y", DOUBLE), name="product")
    x, y = np.random.default_rng(1).normal(size=(2, 3, 4))
    found = gradients(g.graph, "product", ["x", "y"], x=x, y=y)
    np.testing.assert_array_equal(found["x"], y)
    np.testing.assert_array_equal(found["y"], x)


def test_the_gradient_of_a_value_with_respect_to_itself_is_one() -> None:
    g = Builder(Graph())
    g.add(Tanh(), g.input("x", DOUBLE), name="y")
    assert (gradients(g.graph, "y", ["y"], x=np.zeros((3, 4)))["y"] == 1).all()


def test_what_the_value_does_not_depend_on_has_a_gradient_of_zeros() -> None:
    g = Builder(Graph())
    x = g.input("x", DOUBLE)
    g.input("other", TensorType(DType.float64, (2,)))
    g.add(Tanh(), x, name="y")
    found = gradients(g.graph, "y", ["other"], x=np.zeros((3, 4)), other=np.ones(2))
    np.testing.assert_array_equal(found["other"], [0, 0])


def dense_chain(g: Builder, x: Value) -> Value:
    for units in (5, 4, 3):
        x = g.add(Tanh(), g.add(Dense(units=units), x))
    return g.add(Sum(), x, name="loss")


def test_the_first_layer_s_input_gradient_is_never_computed() -> None:
    g = Builder(Graph())
    dense_chain(g, g.input("x", TensorType(DType.float32, (2, 6))))
    weights = [value.name for value in g.graph.parameters]
    derived, _ = differentiate(expand_composites(g.graph), "loss", weights)
    computed = [node.name for node in derived.nodes.values() if node.op.name == "dense.backward_x"]
    assert len(computed) == 2  # of three layers
    assert not any(name.startswith("dense'") for name in computed)


def test_frozen_layers_below_get_no_gradient_at_all() -> None:
    g = Builder(Graph())
    dense_chain(g, g.input("x", TensorType(DType.float32, (2, 6))))
    derived, _ = differentiate(expand_composites(g.graph), "loss", ["dense_3.weight"])
    backward = {node.name.split("'")[0] for node in derived.nodes.values() if "'" in node.name and "." in node.op.name}
    assert backward == {"dense_3"}


def test_a_deep_network_is_differentiated_without_recursion() -> None:
    g = Builder(Graph())
    value = g.input("x", TensorType(DType.float64, (2,)))
    for _ in range(3000):
        value = g.add(Relu(), value)
    np.testing.assert_array_equal(gradients(g.graph, value.name, ["x"], x=np.array([1.0, -1.0]))["x"], [1, 0])


def test_unknown_values_and_open_sizes_are_the_user_s_mistakes() -> None:
    from flownet.types import Symbolic

    g = Builder(Graph())
    g.add(Tanh(), g.input("x", TensorType(DType.float32, (Symbolic.symbol("N"),))), name="y")
    with pytest.raises(FlownetError, match="there is no value `z`"):
        differentiate(g.graph, "z", ["x"])
    with pytest.raises(FlownetError, match="its gradient needs numbers for all sizes"):
        differentiate(g.graph, "y", ["x"])
