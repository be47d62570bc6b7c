"""Where passes of plugins stand in a pipeline."""

from __future__ import annotations

import pytest

from flownet.errors import FlownetError
from flownet.passes.pipeline import Pass, insert_passes

PIPELINE = tuple(Pass(name, lambda graph, target: graph) for name in ("expand", "fold", "merge"))


def named(name: str, after: str = "") -> Pass:
    return Pass(name, lambda graph, target: graph, after=after)


def order(*extra: Pass, elsewhere: tuple[str, ...] = ()) -> list[str]:
    return [step.name for step in insert_passes(PIPELINE, extra, elsewhere)]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], "expand fold merge"),
        ([named("a")], "expand fold merge a"),
        ([named("a"), named("b")], "expand fold merge a b"),
        ([named("a", "fold")], "expand fold a merge"),
        ([named("a", "fold"), named("b", "fold")], "expand fold a b merge"),
        ([named("b", "a"), named("a", "expand")], "expand a b fold merge"),
        ([named("a", "merge"), named("b")], "expand fold merge a b"),
        ([named("b"), named("c", "b"), named("a", "expand")], "expand a fold merge b c"),
    ],
)
def test_each_stands_behind_the_one_that_it_names(extra: list[Pass], expected: str) -> None:
    got = order(*extra)
    for step in extra:
        if step.after:
            assert got.index(step.after) < got.index(step.name)
    assert set(got) == set(expected.split())
    if not any(step.after == "merge" for step in extra):  # two may be last
        assert got == expected.split()


def test_a_pass_behind_one_of_another_device_is_left_out() -> None:
    assert order(named("a", "tile"), elsewhere=("tile",)) == ["expand", "fold", "merge"]


def test_a_misspelt_pass_gets_its_neighbour() -> None:
    with pytest.raises(FlownetError) as caught:
        order(named("a", "flod"))
    assert caught.value.diagnostics[0].code == "unknown-pass"
    assert "`fold`" in caught.value.diagnostics[0].help


def test_a_built_in_pass_keeps_its_name() -> None:
    with pytest.raises(FlownetError, match="plugin-conflict"):
        order(named("fold"))
