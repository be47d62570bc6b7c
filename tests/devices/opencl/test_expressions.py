"""Functions that are written out as arithmetic, against float64 over their whole range, and the text that comes out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.devices.opencl.expressions import to_steps
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.op import Elementwise
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids, opened

RANGE = np.concatenate(
    [np.linspace(-80, 80, 4001), np.linspace(-3, 3, 4001), np.logspace(-12, 0, 501), -np.logspace(-12, 0, 501)]
).astype(np.float32)
FUNCTIONS = {"exp": math.exp, "tanh": math.tanh, "erf": math.erf}


@pytest.mark.opencl
@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_written_out_functions(name, device):
    if opened(device).target.kind == "gpu":
        pytest.skip("a GPU calls its driver's functions")
    graph = Graph()
    g = Builder(graph)
    x = g.input("x", TensorType(DType.float32, RANGE.shape))
    graph.output(g.add(Elementwise((("y", parse(f"{name}(x)")),), ("x",)), x=x, name="y").name)
    got = Session(opened(device)).run(graph, {"x": RANGE})["y"]
    want = np.array([FUNCTIONS[name](float(x)) for x in RANGE])
    # 4 units of float32's last place for the polynomials' and divisions' rounding
    np.testing.assert_allclose(got, want, rtol=5e-7, atol=0)


def test_equal_subexpressions_are_computed_once():
    steps, found = to_steps({"a": parse("exp(x) + 1"), "b": parse("exp(x) * 2")})
    assert steps == [("t0", "exp(x)"), ("t1", "(t0 + (vec)(1.0f))"), ("t2", "(t0 * (vec)(2.0f))")]
    assert found == {"a": "t1", "b": "t2"}


def test_small_whole_powers_are_products():
    """pow of a negative number is undefined under -cl-fast-relaxed-math."""
    assert to_steps({"y": parse("x ** 3")})[0] == [("t0", "(x * x * x)")]
    assert to_steps({"y": parse("x ** -1")})[0] == [("t0", "((vec)(1.0f) / (x))")]


def test_a_truth_value_counts_as_one_or_zero():
    assert to_steps({"y": parse("(x > 0) * x")})[0][0] == ("t0", "(x > (vec)(0.0f) ? (vec)(1.0f) : (vec)(0.0f))")


def test_single_floats_are_widened():
    assert to_steps({"y": parse("x + s")}, scalars={"s"})[0] == [("t0", "(x + ((vec)s))")]
