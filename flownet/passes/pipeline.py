"""The passes in their order, with why. Plugins add theirs by the hook `flownet_passes`, each after one that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.graph import Graph
from flownet.passes.expand_composites import expand_composites
from flownet.passes.fold_constants import fold_constants
from flownet.passes.merge_common_nodes import merge_common_nodes
from flownet.passes.remove_dead_nodes import remove_dead_nodes
from flownet.passes.verify import verify

__all__ = ["PIPELINE", "Pass", "run_passes"]


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
    _plain(fold_constants),  # before merging: what it makes may be equal
    _plain(merge_common_nodes),
    _plain(remove_dead_nodes),  # last of the general ones: it sweeps up behind the others
)


def run_passes(
    graph: Graph,
    target: Any,
    passes: Sequence[Pass] = PIPELINE,
    *,
    without: Iterable[str] = (),
    check: bool = False,
) -> Graph:
    """Run the passes in order; `without` names those to leave out, `check` verifies the graph behind every one.

    Raises FlownetError (`unknown-pass`, `needed-pass`) for names in `without` that cannot be left out.
    """
    without = set(without)
    known = {step.name: step for step in passes}
    for name in without:
        if name not in known:
            raise FlownetError.of("unknown-pass", f"there is no pass `{name}`", help=near_names(name, known) or f"known: {', '.join(known)}")
        if known[name].needed:
            raise FlownetError.of("needed-pass", f"the pass `{name}` cannot be left out: nothing runs without it")
    for step in passes:
        if step.name not in without:
            graph = step.run(graph, target)
            if check:
                verify(graph, behind=step.name)
    return graph
