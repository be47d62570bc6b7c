"""advance_rng: the next step's random numbers."""

from __future__ import annotations

import numpy as np

from flownet.devices.cpu import CPU
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.ops.random.advance_rng import AdvanceRng
from flownet.ops.random.random_uniform import RandomUniform


def test_step_goes_round_and_the_seed_stays():
    after = AdvanceRng().forward(np.array([7, 2**32 - 1], np.uint32))
    assert after.dtype == np.uint32
    assert after.tolist() == [7, 0]


def test_each_run_of_a_plan_draws_new_numbers_and_a_seed_repeats_them():
    graph = Graph()
    g = Builder(graph)
    graph.output(g.add(RandomUniform((4,)), name="u").name)
    g.add(AdvanceRng(), graph.values["rng"], name="advance_rng")

    def draws(seed):
        session = Session(CPU(), seed=seed)
        return [session.run(graph, {})["u"].tolist() for _ in range(3)], session.read()["rng"].tolist()

    first, state = draws(5)
    assert state == [5, 3]
    assert first[0] != first[1] != first[2]
    assert draws(5)[0] == first
    assert draws(6)[0][0] != first[0]
    op = graph.nodes["u"].op
    assert first == [op.forward(rng=np.array([5, step], np.uint32)).tolist() for step in range(3)]
