"""Compiled expressions give what the expression means, in place too, and allocate nothing while they run."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flownet.devices.cpu.elementwise import Scratch, compile_elementwise
from flownet.expression import evaluate, parse

TEXTS = [
    "x * (1 - x)",
    "where(x > 0, x, 0.1 * x)",
    "(x > 0) + (x > 1) + (y == y)",
    "where((x > 0) * (y > 0), exp(-x), y)",
    "tanh(x) * tanh(x) + y",
    "maximum(x, y) - minimum(x, 0.5)",
    "sqrt(abs(x)) / (1 + y * y)",
    "erf(x * y) * erf(x + y)",  # a function that is no ufunc
    "x",
    "2",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shape", [(7,), (3, 4), (1,), (0, 3)])
def test_the_compiled_form_computes_the_same(text: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, *shape)).astype(np.float32)
    out = np.empty(shape, np.float32)
    compile_elementwise({"y": parse(text)}, {"x": x, "y": y}, {"y": out}, Scratch())()
    expected = np.broadcast_to(np.asarray(evaluate(parse(text), {"x": x, "y": y})), shape)
    np.testing.assert_array_equal(out, expected.astype(np.float32))


def test_operands_broadcast() -> None:
    x, y = np.arange(3, dtype=np.float32)[:, None], np.arange(4, dtype=np.float32)
    out = np.empty((3, 4), np.float32)
    compile_elementwise({"y": parse("x * 10 + y")}, {"x": x, "y": y}, {"y": out}, Scratch())()
    np.testing.assert_array_equal(out, [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])


def test_an_update_in_place_reads_every_operand_before_it_writes() -> None:
    # Adam's three updates: each writes over an operand that the others still read
    texts = {
        "m": "0.9 * m + 0.1 * g",
        "v": "0.999 * v + 0.001 * g * g",
        "p": "p - 0.01 * (0.9 * m + 0.1 * g) / (sqrt(0.999 * v + 0.001 * g * g) + 1e-8)",
    }
    rng = np.random.default_rng(1)
    p, g, m, v = (rng.uniform(0.1, 1, 50).astype(np.float32) for _ in range(4))
    m_new, v_new = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    expected = p - 0.01 * m_new / (np.sqrt(v_new) + 1e-8), m_new, v_new
    operands = {"p": p, "g": g, "m": m, "v": v}
    compile_elementwise(
        {name: parse(text) for name, text in texts.items()}, operands, {"m": m, "v": v, "p": p}, Scratch()
    )()
    for got, wanted in zip((p, m, v), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_where_may_write_over_what_it_chooses_from() -> None:
    x = np.array([-1.0, 2.0, -3.0], np.float32)
    compile_elementwise({"y": parse("where(x > 0, -x, 5 * x)")}, {"x": x}, {"y": x}, Scratch())()
    np.testing.assert_array_equal(x, [-5, -2, -15])


_leaves = st.sampled_from(["x", "y", "0.5", "2"])
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", ">", "<="]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"where({t[0]} > 1, {t[1]}, {t[2]})"),
        inner.map(lambda t: f"tanh({t})"),
        inner.map(lambda t: f"erf({t})"),
    ),
    max_leaves=10,
)


@given(first=_trees, second=_trees)
@settings(max_examples=150, deadline=None)
def test_any_two_expressions_written_over_their_operands(first: str, second: str) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 11)).astype(np.float32)
    before = {"x": x.copy(), "y": y.copy()}
    expected = [
        np.broadcast_to(np.asarray(evaluate(parse(text), before), np.float32), x.shape) for text in (first, second)
    ]
    outputs = {"a": x, "b": y}
    compile_elementwise({"a": parse(first), "b": parse(second)}, {"x": x, "y": y}, outputs, Scratch())()
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


def test_running_allocates_nothing() -> None:
    x = np.ones(100_000, np.float32)
    out = np.empty_like(x)
    run = compile_elementwise({"y": parse("tanh(x) * (1 + exp(-x))")}, {"x": x}, {"y": out}, Scratch())
    run()
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000  # an array of this size has 400,000 bytes


@pytest.mark.parametrize(
    ("text", "arrays"),
    [
        ("tanh(exp(x) * 2 + 1) * 3", 1),  # each step over the one before
        ("(x * 2 + y * 3) * (x * 5 + y * 7)", 3),  # one product waits while the two of another sum are made
        ("sqrt(x * 2) + sqrt(x * 2 + 1) * (x * 2)", 3),  # x * 2 stays to the end, the first root nearly so
    ],
)
def test_temporaries_share_memory_as_soon_as_nobody_reads_them(text: str, arrays: int) -> None:
    x, y = np.random.default_rng(3).uniform(0.1, 1, (2, 1000)).astype(np.float32)
    out, scratch = np.empty_like(x), Scratch()
    compile_elementwise({"y": parse(text)}, {"x": x, "y": y}, {"y": out}, scratch)()
    assert scratch.nbytes == arrays * x.nbytes
    np.testing.assert_array_equal(out, evaluate(parse(text), {"x": x, "y": y}))


def test_memory_is_not_overwritten_by_what_is_read_from_it_in_another_size_or_type() -> None:
    x, row = np.random.default_rng(4).normal(size=(50, 40)).astype(np.float32), np.ones(40, np.float32)
    text = parse("where(row + 1 > 0, x * (row + 2), 0) + where(x * 2 > 1, 3, x * 2)")
    out = np.empty_like(x)
    compile_elementwise({"y": text}, {"x": x, "row": row}, {"y": out}, Scratch())()
    np.testing.assert_array_equal(out, evaluate(text, {"x": x, "row": row}))
