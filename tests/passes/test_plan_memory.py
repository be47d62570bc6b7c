"""Memory: values that live at once never share a byte, the plan is near its lower bound, views cost nothing."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flownet.graph import Builder, Graph
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.ops.shape.flatten import Flatten
from flownet.passes.order_nodes import order_nodes
from flownet.passes.plan_memory import Lifetime, place, plan_memory
from flownet.types import DType, TensorType


def overlap(a: Lifetime, b: Lifetime) -> bool:
    return a.first <= b.last and b.first <= a.last


lives = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 15), st.integers(0, 10)).map(lambda t: (t[0] * 64, t[1], t[1] + t[2])),
    max_size=25,
).map(lambda items: [Lifetime(f"v{i}", *item) for i, item in enumerate(items)])


@given(lives)
def test_tensors_that_live_at_once_share_no_byte(lifetimes: list[Lifetime]) -> None:
    offsets, size = place(lifetimes)
    for a, b in combinations(lifetimes, 2):
        if overlap(a, b):
            apart = offsets[a.name] + a.nbytes <= offsets[b.name] or offsets[b.name] + b.nbytes <= offsets[a.name]
            assert apart, (a, b, offsets)
    assert size == max((offsets[life.name] + life.nbytes for life in lifetimes), default=0)


@given(lives)
def test_the_arena_is_never_smaller_than_what_is_alive_at_a_step(lifetimes: list[Lifetime]) -> None:
    alive = [sum(life.nbytes for life in lifetimes if life.first <= step <= life.last) for step in range(30)]
    assert place(lifetimes)[1] >= max(alive)


def chain(length: int) -> Graph:
    g = Builder(Graph())
    value = g.input("x", TensorType(DType.float32, (256,)))
    for _ in range(length):
        value = g.add(Relu(), value)
    g.graph.output(value.name)
    return g.graph


def test_a_chain_of_any_length_takes_two_buffers() -> None:
    graph = chain(50)
    plan = plan_memory(graph, order_nodes(graph))
    assert plan.arena_bytes == plan.lower_bound == 2 * 256 * 4


def test_what_is_fetched_lives_to_the_end() -> None:
    graph = chain(5)
    graph.output("relu")
    plan = plan_memory(graph, order_nodes(graph))
    assert plan.lifetimes["relu"].last == 4
    assert plan.arena_bytes == 3 * 256 * 4


def test_a_value_lives_until_its_last_reader() -> None:
    g = Builder(Graph())
    first = g.add(Relu(), g.input("x", TensorType(DType.float32, (16,))), name="first")
    other = g.add(Relu(), g.add(Relu(), first))
    g.add(Add(), first, other, name="sum")
    plan = plan_memory(g.graph, order_nodes(g.graph))
    assert plan.lifetimes["first"].last == 3


def test_a_view_lives_in_what_it_views() -> None:
    g = Builder(Graph())
    whole = g.add(Relu(), g.input("x", TensorType(DType.float32, (2, 3, 4))), name="whole")
    flat = g.add(Flatten(), whole, name="flat")
    g.add(Relu(), flat, name="after")
    plan = plan_memory(g.graph, order_nodes(g.graph))
    assert plan.buffer_of["flat"] == "whole"
    assert plan.lifetimes["whole"].last == 2
    assert "flat" not in plan.offsets


def test_values_with_memory_of_their_own_are_left_out() -> None:
    graph = chain(3)
    plan = plan_memory(graph, order_nodes(graph), external=["relu_2"])
    assert "relu_2" not in plan.offsets


def test_every_buffer_begins_at_a_cache_line() -> None:
    g = Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (3,)))
    for name in "abc":
        g.graph.output(g.add(Relu(), x, name=name).name)
    plan = plan_memory(g.graph, order_nodes(g.graph))
    assert sorted(plan.offsets.values()) == [0, 64, 128]


@pytest.mark.slow
def test_many_tensors_are_placed_in_seconds() -> None:
    import time

    lifetimes = [Lifetime(str(i), 64 * (1 + i * 7919 % 100), i, i + 1 + i * 31 % 50) for i in range(10_000)]
    began = time.perf_counter()
    place(lifetimes)
    assert time.perf_counter() - began < 10  # 0.5 s on an idle core; one placed by one takes minutes
