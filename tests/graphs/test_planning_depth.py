"""The plan of a training step of ResNet-110, batch 128: its memory against the least that any plan needs."""

from __future__ import annotations

import pytest

from flownet.passes.order_nodes import order_nodes
from flownet.passes.pipeline import PIPELINE, run_passes
from flownet.passes.plan_memory import plan_memory
from flownet.training.training_graph import training_graph
from tests.graphs.zoo import document


@pytest.fixture(scope="module")
def resnet110():
    graph = run_passes(training_graph(document("resnet110").train).bind({"N": 128}), None, PIPELINE)
    order = order_nodes(graph)
    return graph, order, plan_memory(graph, order)


def test_memory_is_within_a_tenth_of_the_lower_bound_by_liveness(resnet110):
    _, _, plan = resnet110
    # the bound once more, step by step, from nothing but the lives
    lives = list(plan.lifetimes.values())
    most = max(
        sum(life.nbytes for life in lives if life.first <= step <= life.last) for step in {life.first for life in lives}
    )
    assert plan.lower_bound == most
    assert most <= plan.arena_bytes <= 1.1 * most


def test_no_two_tensors_that_live_at_once_share_a_byte(resnet110):
    _, _, plan = resnet110
    placed = sorted(
        ((plan.offsets[name], life) for name, life in plan.lifetimes.items() if life.nbytes), key=lambda pair: pair[0]
    )
    for index, (offset, life) in enumerate(placed):
        for other_offset, other in placed[index + 1 :]:
            if other_offset >= offset + life.nbytes:
                break
            assert other.last < life.first or life.last < other.first, f"{life.name} and {other.name}"
    assert max(offset + life.nbytes for offset, life in placed) <= plan.arena_bytes


def test_nodes_run_after_what_they_read(resnet110):
    graph, order, _ = resnet110
    done = set()
    for node in order:
        producers = {graph.values[name].producer for name in node.inputs.values()} - {None}
        assert producers <= done, f"{node.name} runs before {producers - done}"
        done.add(node.name)
    assert len(done) == len(graph.nodes)


def test_training_keeps_far_less_than_all_values_together(resnet110):
    graph, order, plan = resnet110
    all_values = sum(
        int(graph.values[name].type.nbytes) for node in order if not node.op.is_view for name in node.outputs
    )
    assert plan.arena_bytes < 0.6 * all_values
