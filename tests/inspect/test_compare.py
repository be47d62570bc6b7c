"""`flownet diff` finds bugs that are planted in a device: which node, which way, and the smallest graph that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from flownet.devices.cpu import CPU
from flownet.inspect.compare import Side, compare, made_up_inputs
from flownet.language import load
from flownet.op import Op
from flownet.passes.pipeline import PIPELINE


@dataclass(frozen=True)
class Spoilt(Op):
    """The op inside, with its last column made half as large again."""

    inner: Any
    method: str = "run"  # as gradients have: the CPU device then calls `run`, which takes arrays by name

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.inner.name

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.inner.outputs

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        first, *rest = self.inner.run(arrays)
        first = np.array(first)
        first[..., -1] *= 1.5
        return (first, *rest)

    def cost(self, inputs: Any, outputs: Any) -> tuple[int, int]:
        return 0, 0


class Faulty(CPU):
    """A CPU whose kernel for the op `wrong` has a bug; `hidden`: only where the result is not fetched."""

    def __init__(self, wrong: str, at: str = "", hidden: bool = False) -> None:
        self.wrong, self.at, self.hidden = wrong, at, hidden

    def load(self, graph: Any, storages: Any) -> Any:
        graph = graph.copy()
        for node in list(graph.nodes.values()):
            fetched = set(node.outputs) & set(graph.outputs.values())
            if node.op.name == self.wrong and node.name.startswith(self.at) and not (self.hidden and fetched):
                graph.nodes[node.name] = replace(node, op=Spoilt(node.op))
        return super().load(graph, storages)


GRAPH = {
    "flownet": 1,
    "inputs": {"x": "float32[N, 6]"},
    "nodes": [
        {"dense": {"units": 8}},
        "tanh",
        {"dense": {"units": 4}},
        "softmax",
        {"dense": {"units": 3}},
        {"softmax": {"name": "last"}},
    ],
}


def side(device: CPU, name: str) -> Side:
    return Side(name, device, PIPELINE)


def run(device: CPU, graph: Mapping[str, Any] = GRAPH, **options: Any):
    document = load(graph)
    inputs = made_up_inputs(document.graph, batch=5)
    return compare(document, side(CPU(), "cpu"), side(device, "faulty"), inputs, **options)


def test_a_sound_device_agrees_everywhere() -> None:
    found = run(CPU())
    assert found.first is None
    assert found.worst[0] == 0
    assert found.compared >= 6 + 6  # each node's result, and at least one gradient of each


def test_the_first_wrong_node_is_named_not_those_behind_it() -> None:
    first = run(Faulty("softmax")).first
    assert first is not None
    assert (first.node, first.op, first.direction, first.fused) == ("softmax_1", "softmax", "forward", False)
    assert first.place[1] == 3  # the last of four columns
    assert first.b == pytest.approx(1.5 * first.a, rel=1e-6)
    assert first.elements == (5, 20)


def test_a_bug_in_a_later_node_alone() -> None:
    first = run(Faulty("softmax", at="last")).first
    assert first is not None
    assert first.node == "last"


@pytest.mark.parametrize("method", ["backward_weight", "backward_x", "backward_bias"])
def test_a_wrong_gradient_is_backward_and_of_its_node(method: str) -> None:
    first = run(Faulty(f"dense.{method}", at="dense_2")).first
    assert first is not None
    assert (first.node, first.direction) == ("dense_2", "backward")


def test_forward_only_does_not_look_at_gradients() -> None:
    assert run(Faulty("dense.backward_weight"), backward=False).first is None


def test_a_bug_that_shows_only_when_the_value_is_not_fetched() -> None:
    first = run(Faulty("softmax", at="softmax_1", hidden=True)).first
    assert first is not None
    assert first.fused
    # the value that can be seen to be wrong is the first one behind the fused kernel
    assert first.node == "dense_3"


def test_the_smallest_graph_has_the_node_alone_and_still_shows_it() -> None:
    found = run(Faulty("softmax"))
    again = load(found.smallest)
    assert [node.op.name for node in again.graph.nodes.values()] == ["softmax"]
    assert {name: array.shape for name, array in found.inputs.items()} == {again.graph.inputs[0].name: (1, 4)}
    faulty = compare(again, side(CPU(), "cpu"), side(Faulty("softmax"), "faulty"), found.inputs)
    assert faulty.first is not None
    assert faulty.first.node == "softmax_1"
    sound = compare(again, side(CPU(), "cpu"), side(CPU(), "cpu"), found.inputs)
    assert sound.first is None


def test_a_graph_grows_until_it_shows_the_bug() -> None:
    """The bug needs its node's result to be consumed unfetched, so that one node alone cannot show it."""
    found = run(Faulty("softmax", at="softmax_1", hidden=True))
    again = load(found.smallest)
    assert list(again.graph.nodes) == ["softmax_1", "dense_3"]


def test_parameters_keep_their_values_in_the_smallest_graph() -> None:
    found = run(Faulty("dense", at="dense_2"))
    again = load(found.smallest)
    first = compare(again, side(CPU(), "cpu"), side(Faulty("dense"), "faulty"), found.inputs, shrink=False).first
    assert first is not None
    assert found.first is not None
    assert found.first.node == first.node == "dense_2"


def test_nan_on_one_side_is_a_difference() -> None:
    class Nan(CPU):
        def load(self, graph: Any, storages: Any) -> Any:
            program = super().load(graph, storages)
            fetch = program.fetch
            program.fetch = lambda name: fetch(name) * np.nan if name == "tanh_1" else fetch(name)  # type: ignore[method-assign]
            return program

    first = run(Nan(), shrink=False).first
    assert first is not None
    assert first.node == "tanh_1"
    assert np.isnan(first.b)


def test_inputs_follow_their_types() -> None:
    graph = load({"flownet": 1, "inputs": {"x": "float32[N, H, 2]"}, "nodes": ["relu"]}).graph
    made = made_up_inputs(graph, batch=3, sizes={"H": 7})
    assert made["x"].shape == (3, 7, 2)
    assert made["x"].dtype == np.float32
