"""The error of too little memory, with how much was needed where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flownet.errors import MachineError
from flownet.graph import Graph

__all__ = ["largest_values", "megabytes", "out_of_memory"]

_MOST = 3


def out_of_memory(message: str, *notes: str) -> MachineError:
    """`out-of-memory`, with what to do."""
    return MachineError.of(
        "out-of-memory", message, *notes,
        help="use a smaller batch (`--batch`; in training `--set train.batch=…`, or `--memory-limit 0` on OpenCL), or another `--device`",
    )  # fmt: skip


def largest_values(graph: Graph, lifetimes: Iterable[Any]) -> list[str]:
    """The largest values of a plan, a line each, with the line of the node that makes it.

    lifetimes: `Lifetime`s of `passes.plan_memory`, or what has the same `name` and `nbytes`
    """
    told = []
    for life in sorted(lifetimes, key=lambda life: -life.nbytes)[:_MOST]:
        producer = graph.values[life.name].producer if life.name in graph.values else None
        spans = graph.nodes[producer].origin.spans if producer in graph.nodes else ()
        at = f", {spans[0].file.name}:{spans[0].line}" if spans else ""
        told.append(f"among them `{life.name}`{at}: {megabytes(life.nbytes)}")
    return told


def megabytes(nbytes: int) -> str:
    """`1,250.0 MB`, of 2²⁰ bytes."""
    return f"{nbytes / 2**20:,.1f} MB"
