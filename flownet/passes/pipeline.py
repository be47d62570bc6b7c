"""The passes in their order, with why. Plugins add theirs by the hook `flownet_passes`, each after one that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.graph import Graph
from flownet.passes.expand_composites import expand_composites
from flownet.passes.fold_constants import fold_constants
from flownet.passes.fold_into_weights import fold_into_weights
from flownet.passes.merge_common_nodes import merge_common_nodes
from flownet.passes.remove_dead_nodes import remove_dead_nodes
from flownet.passes.verify import verify

__all__ = ["PIPELINE", "Pass", "insert_passes", "run_passes"]


@dataclass(frozen=True)
class Pass:
    """A step of the compiler: Graph, Target -> Graph.

    needed: without it there is no plan, so that `--no-pass` refuses to switch it off
    after:  for a plugin's pass, the name of the pass that it follows; the last one if empty
    """

    name: str
    run: Callable[[Graph, Any], Graph]
    needed: bool = False
    after: str = ""


def _plain(function: Callable[[Graph], Graph], needed: bool = False) -> Pass:
    return Pass(function.__name__, lambda graph, target: function(graph), needed)


PIPELINE: tuple[Pass, ...] = (
    _plain(expand_composites, needed=True),  # first: everything behind it sees ops that devices can run
    _plain(fold_into_weights),  # before lowering: layers still have weights and biases
    _plain(fold_constants),  # before merging: what it makes may be equal
    _plain(merge_common_nodes),
    _plain(remove_dead_nodes),  # last of the general ones: it sweeps up behind the others
)


def insert_passes(pipeline: Sequence[Pass], extra: Iterable[Pass], elsewhere: Iterable[str] = ()) -> tuple[Pass, ...]:
    """The pipeline with the passes of plugins in it, each behind the one that it names in `after`, else at the end.

    elsewhere: the passes of other devices' pipelines: a pass that comes after one of these is left out here

    Raises FlownetError (`unknown-pass`) for an `after` that nothing has; `plugin-conflict` for a name that is taken.
    """
    result = list(pipeline)
    waiting = list(extra)
    known = {step.name for step in (*pipeline, *waiting)} | set(elsewhere)
    for step in waiting:
        if any(built_in.name == step.name for built_in in pipeline):
            raise FlownetError.of(
                "plugin-conflict", f"a plugin's pass has the name of a built-in one, `{step.name}`", help="rename it"
            )
        if step.after and step.after not in known:
            raise FlownetError.of(
                "unknown-pass", f"the pass `{step.name}` comes after `{step.after}`, which is no pass",
                help=near_names(step.after, known) or f"known: {', '.join(sorted(known))}",
            )  # fmt: skip
    last_behind: dict[str, Pass] = {"": result[-1]} if result else {}
    while ready := [step for step in waiting if not step.after or any(step.after == placed.name for placed in result)]:
        for step in ready:  # those that follow the same one stand in the order in which they were given
            before = last_behind.get(step.after) or next(placed for placed in result if placed.name == step.after)
            result.insert(result.index(before) + 1, step)
            last_behind[step.after] = step
            waiting.remove(step)
    return tuple(result)


def run_passes(
    graph: Graph,
    target: Any,
    passes: Sequence[Pass] = PIPELINE,
    *,
    without: Iterable[str] = (),
    check: bool = False,
    elsewhere: Iterable[str] = (),
) -> Graph:
    """Run the passes in order; `without` names those to leave out, `check` verifies the graph behind every one.

    elsewhere: names that `without` may have too: a device's decisions, which it leaves out itself

    Raises FlownetError (`unknown-pass`, `needed-pass`) for names in `without` that cannot be left out.
    """
    without = set(without).difference(elsewhere)
    known = {step.name: step for step in passes}
    for name in without:
        if name not in known:
            raise FlownetError.of(
                "unknown-pass",
                f"there is no pass `{name}`",
                help=near_names(name, [*known, *elsewhere]) or f"known: {', '.join([*known, *elsewhere])}",
            )
        if known[name].needed:
            raise FlownetError.of("needed-pass", f"the pass `{name}` cannot be left out: nothing runs without it")
    for step in passes:
        if step.name not in without:
            graph = step.run(graph, target)
            if check:
                verify(graph, behind=step.name)
    return graph
