"""Memory: values that live at once never share a byte, the plan is near its lower bound, views cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flownet.graph import Builder, Graph
from flownet.ops.activation.relu import Relu
from flownet.ops.arithmetic.add import Add
from flownet.ops.shape.flatten import Flatten
from flownet.passes.order_nodes import order_nodes
from flownet.passes.placement import Lifetime, most_alive, place, place_by_gaps, place_in_lanes
from flownet.passes.plan_memory import plan_memory
from flownet.types import DType, TensorType


def overlap(a: Lifetime, b: Lifetime) -> bool:
    return a.first <= b.last and b.first <= a.last


lives = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 15), st.integers(0, 10)).map(lambda t: (t[0] * 64, t[1], t[1] + t[2])),
    max_size=25,
).map(lambda items: [Lifetime(f"v{i}", *item) for i, item in enumerate(items)])


@pytest.mark.parametrize("way", [place, place_in_lanes, place_by_gaps])
@given(lifetimes=lives)
def test_tensors_that_live_at_once_share_no_byte(way: Callable[..., Any], lifetimes: list[Lifetime]) -> None:
    offsets, size = way(lifetimes)
    for a, b in combinations(lifetimes, 2):
        if overlap(a, b):
            apart = offsets[a.name] + a.nbytes <= offsets[b.name] or offsets[b.name] + b.nbytes <= offsets[a.name]
            assert apart, (a, b, offsets)
    assert size == max((offsets[life.name] + life.nbytes for life in lifetimes), default=0)


@given(lives)
def test_the_arena_is_never_smaller_than_what_is_alive_at_a_step(lifetimes: list[Lifetime]) -> None:
    alive = [sum(life.nbytes for life in lifetimes if life.first <= step <= life.last) for step in range(30)]
    assert most_alive(lifetimes) == max(alive)
    assert place(lifetimes)[1] >= max(alive)


@given(lives)
def test_tensors_of_one_size_take_no_more_than_what_is_alive_at_a_step(lifetimes: list[Lifetime]) -> None:
    same = [replace(life, nbytes=64) for life in lifetimes]
    assert place_in_lanes(same)[1] == most_alive(same)


@given(lives)
def test_of_the_two_ways_the_better_one_is_taken(lifetimes: list[Lifetime]) -> None:
    by_size = sorted(lifetimes, key=lambda life: (-life.nbytes, life.first))
    assert place(lifetimes)[1] <= min(place_in_lanes(lifetimes)[1], place_by_gaps(by_size)[1])


def test_small_tensors_go_above_each_other_into_the_lane_of_a_large_one() -> None:
    small = [Lifetime(f"small_{i}", 64, 0, 3) for i in range(4)]
    offsets, size = place_in_lanes([Lifetime("large", 256, 4, 6), *small])
    assert size == 256
    assert sorted(offsets[life.name] for life in small) == [0, 64, 128, 192]


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
