"""`flownet describe`: a table of a graph's nodes, like Keras' summary."""

from __future__ import annotations

from typing import Any

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import graph, graph_options, sizes
from flownet.cli.output import amount, size

__all__ = ["command"]


@click.command("describe")
@graph
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Examples in a batch, for FLOPs and memory."
)
@sizes
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Sum up what lies more than N names deep in blocks.")
@graph_options
@invocation
def command(state: Invocation, graph: str, batch: int, sizes: dict[str, int], depth: int | None) -> None:
    """A table of the nodes: op, output type, parameters, multiply-adds, FLOPs, memory; and the totals.

    FLOPs count a multiply-add as two, papers often as one: both are shown. Memory is what the values between the nodes
    take in the plan, which reuses what is free; for inference, and for a training step, where an update frees the
    gradients that it used.

    \b
    flownet describe graphs/lenet5.yaml --batch 64
    flownet describe graphs/resnet110.yaml --depth 1
    flownet describe graphs/lenet5.yaml --json
    """
    from flownet.inspect.summary import summarise

    document = state.load(graph)
    summary = summarise(document, batch=batch, sizes=sizes)
    if state.out.json:
        state.out.document(summary.to_json())
        return
    rows = [
        (
            row.name,
            row.op,
            row.type,
            _number(row.parameters),
            _number(row.multiply_adds),
            _number(row.flops),
            _bytes(row.nbytes),
        )
        for row in (summary.grouped(depth) if depth else summary.rows)
    ]
    inputs = ", ".join(f"{value.name}: {value.type}" for value in document.graph.inputs)
    state.out.say(f"{document.source}   {inputs}", style="bold")
    costs = [amount(number) for number in (summary.parameters, summary.multiply_adds, summary.flops)]
    total = ("total", f"{len(summary.rows)} nodes", "", *costs, "")
    state.out.table(("node", "op", "output", "parameters", "multiply-adds", "FLOPs", "memory"), rows, totals=total)
    frozen = summary.parameters - summary.trainable
    state.out.say(
        f"parameters         {summary.parameters:,} ({size(summary.parameter_bytes)}): {summary.trainable:,} trainable"
        f", {frozen:,} frozen; {summary.state_numbers:,} numbers of state"
    )
    state.out.say(
        f"one forward run    {amount(summary.multiply_adds)} multiply-adds, {amount(summary.flops)} FLOPs, "
        f"batch of {batch}"
    )
    state.out.say(
        f"activation memory  {size(summary.inference_bytes)} inference, {size(summary.training_bytes)} training, "
        f"and {size(summary.gradient_bytes)} for the parameters' gradients there"
    )


def _number(number: Any) -> str:
    return amount(number) if number else ""


def _bytes(nbytes: Any) -> str:
    return size(nbytes) if nbytes else ""
