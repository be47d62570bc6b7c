"""Elementwise expressions: Python's arithmetic, and nothing else of Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flownet.errors import FlownetError
from flownet.expression import FUNCTIONS, Call, Name, Number, evaluate, names, parse, substitute


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("x * (1 - x)", 0.25, 0.1875),
        ("-x ** 2", 3.0, -9.0),
        ("x / 2 + 1", 3.0, 2.5),
        ("where(x > 0, x, 0.1 * x)", -2.0, -0.2),
        ("where(x > 0, x, 0.1 * x)", 2.0, 2.0),
        ("maximum(x, 3) - minimum(x, 3)", 5.0, 2.0),
        ("exp(log(x))", 7.0, 7.0),
        ("(x > 1) + (x >= 2) + (x != 3)", 2.0, 3.0),
        ("erf(x)", 1.0, 0.8427007929497149),  # Abramowitz, Stegun, table 7.1
        ("expm1(x) - log1p(x)", 0.0, 0.0),
    ],
)
def test_expressions_compute_what_they_say(text: str, x: float, value: float) -> None:
    assert np.asarray(evaluate(parse(text), {"x": np.float64(x)}), np.float64) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x +", "is no expression"),
        ("__import__('os')", "there is no function `__import__`"),
        ("x.real", "has no meaning"),
        ("x[0]", "has no meaning"),
        ("lambda: 0", "has no meaning"),
        ("1 < x < 2", "has no meaning"),
        ("exp(x, x)", "`exp` takes 1 arguments, got 2"),
        ("exp(x=x)", "has no meaning"),
        ("'text'", "has no meaning"),
        ("sofplus(x)", "there is no function `sofplus`"),
        ("x @ x", "has no meaning"),
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str, code: str) -> None:
    with pytest.raises(FlownetError) as error:
        parse(text)
    assert error.value.diagnostics[0].code == "bad-expression"
    assert code in str(error.value)


def test_a_misspelt_function_has_near_names() -> None:
    with pytest.raises(FlownetError, match="did you mean `tanh`"):
        parse("tahn(x)")


def test_operands_come_in_the_order_in_which_they_are_met() -> None:
    assert names(parse("b * a + exp(b - c)")) == ("b", "a", "c")


def test_substitution_makes_one_expression_of_two() -> None:
    relu, scale = parse("maximum(x, 0)"), parse("2 * y")
    assert substitute(scale, {"y": relu}) == parse("2 * maximum(x, 0)")
    assert substitute(scale, {"z": Number(1.0)}) == scale


def test_numbers_take_the_element_type_of_what_they_meet() -> None:
    result = evaluate(parse("2 * x + 0.5"), {"x": np.ones(3, np.float32)})
    assert result.dtype == np.float32


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_tree_prints_as_calls_that_parse_to_itself(a: float, b: float) -> None:
    tree = Call("add", (Call("mul", (Name("x"), Number(a))), Call("neg", (Number(b),))))
    assert parse(str(tree)) in (tree, Call("add", (tree.arguments[0], Call("neg", (Number(b),)))))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_takes_its_arity_elementwise(name: str) -> None:
    function = FUNCTIONS[name]
    arguments = [np.linspace(0.1, 0.9, 5)] * function.arity
    assert np.shape(function.numpy(*arguments)) == (5,)


def test_opencl_templates_name_every_argument() -> None:
    for name, function in FUNCTIONS.items():
        for i in range(function.arity):
            assert not function.opencl or f"{{{i}}}" in function.opencl, name


def test_division_by_zero_is_what_ieee_says() -> None:
    with np.errstate(all="ignore"):
        assert math.isinf(evaluate(parse("1 / x"), {"x": np.float64(0)}))
