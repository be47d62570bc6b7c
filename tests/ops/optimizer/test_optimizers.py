"""Optimisers: PyTorch's beside them for 50 steps, exactly the published formulas, and no state kept in vain."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.cpu import CPU
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.expression import Number, names
from flownet.graph import Builder, Graph
from flownet.ops.optimizer.adam import Adam
from flownet.ops.optimizer.adamw import AdamW
from flownet.ops.optimizer.rmsprop import RmsProp
from flownet.ops.optimizer.sgd import Sgd
from flownet.types import DType, TensorType

SIZE = 40
CASES = [
    (Sgd(), lambda optim, p: optim.SGD(p, 0.05)),
    (Sgd(weight_decay=0.1), lambda optim, p: optim.SGD(p, 0.05, weight_decay=0.1)),
    (Sgd(momentum=0.9, weight_decay=0.01), lambda optim, p: optim.SGD(p, 0.05, 0.9, weight_decay=0.01)),
    (
        Sgd(momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda optim, p: optim.SGD(p, 0.05, 0.9, weight_decay=0.01, nesterov=True),
    ),
    (Adam(), lambda optim, p: optim.Adam(p, 0.05)),
    (Adam(beta1=0.5, weight_decay=0.1), lambda optim, p: optim.Adam(p, 0.05, (0.5, 0.999), weight_decay=0.1)),
    (Adam(beta1=0.0), lambda optim, p: optim.Adam(p, 0.05, (0.0, 0.999))),
    (AdamW(), lambda optim, p: optim.AdamW(p, 0.05)),
    (AdamW(weight_decay=0.0, epsilon=1e-3), lambda optim, p: optim.AdamW(p, 0.05, weight_decay=0.0, eps=1e-3)),
    (RmsProp(), lambda optim, p: optim.RMSprop(p, 0.05)),
    (RmsProp(momentum=0.9, weight_decay=0.1), lambda optim, p: optim.RMSprop(p, 0.05, momentum=0.9, weight_decay=0.1)),
    (RmsProp(alpha=0.9, centered=True), lambda optim, p: optim.RMSprop(p, 0.05, alpha=0.9, centered=True)),
]


def trained(op, start, gradients):
    """The parameter after a step with each of the gradients, on the CPU device."""
    dtype = DType.of(start.dtype)
    graph = Graph()
    g = Builder(graph)
    parameter = g.parameter("parameter", TensorType(dtype, start.shape), start)
    values = {name: g.input(name, TensorType(dtype, ())) for name in ("learning_rate", "step") if name in op.operands}
    g.add(op, name="optimizer", parameter=parameter, gradient=g.input("gradient", parameter.type), **values)
    session = Session(CPU())
    for step, gradient in enumerate(gradients, 1):
        fed = {"learning_rate": np.asarray(0.05, start.dtype), "step": np.asarray(step, start.dtype)}
        session.run(graph, {"gradient": gradient, **{name: fed[name] for name in values}})
    return session.read()["parameter"]


@pytest.mark.parametrize(("op", "make"), CASES, ids=lambda value: str(value) if hasattr(value, "name") else "")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_beside_torch(op, make, dtype, tolerance):
    """To some units in the last place of float32 and float64, 50 steps being taken."""
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    start = generator.standard_normal(SIZE).astype(dtype)
    # gradients of very different sizes
    gradients = [
        (generator.standard_normal(SIZE) * np.exp(generator.standard_normal(SIZE))).astype(dtype) for _ in range(50)
    ]
    expected = torch.tensor(start.copy(), requires_grad=True)
    optimizer = make(torch.optim, [expected])
    for gradient in gradients:
        expected.grad = torch.tensor(gradient)
        optimizer.step()
    got = trained(op, start, gradients)
    assert got.dtype == dtype
    assert np.abs(got - expected.detach().numpy()).max() < tolerance * np.abs(got).max()


def test_sgd_is_exactly_the_course_s_formula():
    """θ ← (1 − ηλ)·θ − η·∇ℓ in this order of operations."""
    start, gradient = np.array([1.25, -3.0, 0.5]), np.array([0.3, 0.7, -0.1])
    rate = np.float64(0.05)
    np.testing.assert_array_equal(
        trained(Sgd(weight_decay=0.1), start, [gradient]), (1 - rate * 0.1) * start - rate * gradient
    )


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (Sgd(), ("parameter", "gradient", "learning_rate")),
        (Sgd(momentum=0.9), ("parameter", "gradient", "learning_rate", "velocity")),
        (Adam(), ("parameter", "gradient", "learning_rate", "step", "m", "v")),
        (RmsProp(), ("parameter", "gradient", "learning_rate", "v")),
        (RmsProp(momentum=0.9, centered=True), ("parameter", "gradient", "learning_rate", "v", "mean", "velocity")),
    ],
)
def test_nothing_is_kept_in_vain(op, operands):
    assert op.operands == operands
    assert set().union(*(names(expression) for expression in op.expressions().values())) == set(operands)
    states = operands[operands.index("learning_rate") + 1 :]
    assert tuple(op.states(TensorType(DType.float32, (3,)))) == tuple(name for name in states if name != "step")
    assert tuple(op.expressions()) == op.outputs


def numbers_alone(expression):
    """Calls whose arguments are all numbers: to NumPy a float64, whatever the parameter is."""
    arguments = getattr(expression, "arguments", ())
    alone = [expression] if arguments and all(isinstance(argument, Number) for argument in arguments) else []
    return alone + [found for argument in arguments for found in numbers_alone(argument)]


@pytest.mark.parametrize(("op", "make"), CASES, ids=lambda value: str(value) if hasattr(value, "name") else "")
def test_float32_stays_float32_inside(op, make):
    assert not [found for expression in op.expressions().values() for found in numbers_alone(expression)]


def test_the_first_steps_of_adam_are_not_rounded_away():
    """1 − 0.999 in float32 has lost four of seven digits: the first step must still be the rate, up to ε."""
    start = np.zeros(3, np.float32)
    got = trained(Adam(), start, [np.array([1e-3, 1.0, 1e3], np.float32)])
    np.testing.assert_allclose(got, -0.05 / (1 + 1e-8 / np.array([1e-3, 1.0, 1e3])), rtol=5e-7)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Sgd(learning_rate=-0.1), "`learning_rate` of `sgd` must be at least 0, got -0.1"),
        (Sgd(momentum=1.0), "`momentum` of `sgd` must be at least 0 and below 1, got 1.0"),
        (Sgd(nesterov=True), "`nesterov` of `sgd` must be false without `momentum`"),
        (Adam(beta2=1.0), "`beta2` of `adam` must be at least 0 and below 1"),
        (AdamW(weight_decay=-1.0), "`weight_decay` of `adamw` must be at least 0"),
        (RmsProp(epsilon=0.0), "`epsilon` of `rmsprop` must be above 0"),
        (RmsProp(learning_rate=float("inf")), "`learning_rate` of `rmsprop` must be at least 0, got inf"),
    ],
)
def test_attributes_out_of_range(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()
