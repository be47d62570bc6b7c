"""Every optimiser beside PyTorch's over fifty steps, and sgd's rule written out."""

from __future__ import annotations

import numpy as np
import pytest

from flownet import FlownetError
from flownet.ops.optimizer.adam import Adam
from flownet.ops.optimizer.adamw import AdamW
from flownet.ops.optimizer.rmsprop import RmsProp
from flownet.ops.optimizer.sgd import Sgd

CASES = {
    "sgd": (Sgd(learning_rate=0.1, weight_decay=0.01), lambda o, p: o.SGD(p, lr=0.1, weight_decay=0.01)),
    "momentum": (Sgd(learning_rate=0.1, weight_decay=0.01, momentum=0.9), lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
    "nesterov": (Sgd(learning_rate=0.1, weight_decay=0.01, momentum=0.9, nesterov=True), lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
    "adam": (Adam(learning_rate=0.01), lambda o, p: o.Adam(p, lr=0.01)),
    "adam with L2": (Adam(learning_rate=0.01, weight_decay=0.1), lambda o, p: o.Adam(p, lr=0.01, weight_decay=0.1)),
    "adamw": (AdamW(learning_rate=0.01, weight_decay=0.1), lambda o, p: o.AdamW(p, lr=0.01, weight_decay=0.1)),
    "rmsprop": (RmsProp(learning_rate=0.01, weight_decay=0.1), lambda o, p: o.RMSprop(p, lr=0.01, weight_decay=0.1)),
    "rmsprop with momentum": (RmsProp(learning_rate=0.01, momentum=0.9), lambda o, p: o.RMSprop(p, lr=0.01, momentum=0.9)),
}


def _run(op, parameter, gradients, rate):
    state = {name: np.zeros_like(parameter) for name in op.state_names}
    for step, gradient in enumerate(gradients, 1):
        scalars = {"learning_rate": np.asarray(rate, parameter.dtype), "step": np.asarray(step, parameter.dtype)}
        given = {"parameter": parameter, "gradient": gradient, **scalars, **state}
        results = dict(zip(op.outputs, op.run({name: given[name] for name in op.operands}), strict=True))
        parameter = results["new_parameter"]
        state = {name: results[f"new_{name}"] for name in op.state_names}
    return parameter


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fifty_steps_are_pytorchs(name, dtype):
    torch = pytest.importorskip("torch")
    op, make = CASES[name]
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=7).astype(dtype), rng.normal(size=(50, 7)).astype(dtype)
    theirs = torch.tensor(start.copy(), requires_grad=True)
    optimizer = make(torch.optim, [theirs])
    for gradient in gradients:
        theirs.grad = torch.tensor(gradient.copy())
        optimizer.step()
    # float32: fifty steps of roundings that PyTorch does in another order
    tolerance = 1e-12 if dtype == "float64" else 3e-6
    np.testing.assert_allclose(_run(op, start, gradients, op.learning_rate), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_sgd_is_the_course_s_rule_exactly():
    theta, gradient = np.float64(3.0), np.float64(-0.7)
    got = Sgd(weight_decay=0.01).run({"parameter": theta, "gradient": gradient, "learning_rate": np.float64(0.1)})[0]
    assert got == (1 - 0.1 * 0.01) * 3.0 - 0.1 * -0.7


def test_what_a_rule_does_not_use_is_not_there():
    assert Sgd().operands == ("parameter", "gradient", "learning_rate")
    assert Sgd(momentum=0.9).operands == ("parameter", "gradient", "learning_rate", "velocity")
    assert Adam().operands == ("parameter", "gradient", "learning_rate", "step", "m", "v")


@pytest.mark.parametrize("op", [Sgd(momentum=1.0), Sgd(learning_rate=-0.1), Sgd(nesterov=True), Adam(beta2=1.0), RmsProp(alpha=1.5)])
def test_impossible_attributes(op):
    with pytest.raises(FlownetError) as caught:
        op.checked()
    assert caught.value.diagnostics[0].code == "bad-attribute"
