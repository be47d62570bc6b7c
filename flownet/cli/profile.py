"""`flownet profile`: where the time of a graph goes."""

from __future__ import annotations

import json
import math
import time

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph, graph_options, memory_limit, no_pass, sizes
from flownet.cli.plan import made_plan

__all__ = ["command"]


@click.command("profile")
@graph
@click.option("--train", is_flag=True, help="A training step, not inference.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Examples in a batch.")
@sizes
@device
@fallback
@memory_limit
@no_pass
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Runs of each kernel; the least time counts.",
)
@click.option("--top", type=click.IntRange(1), default=30, show_default=True, help="Rows of the table.")
@click.option("--trace", metavar="FILE", help="Write a trace for https://ui.perfetto.dev or chrome://tracing.")
@graph_options
@invocation
def command(
    state: Invocation, graph, train, batch, sizes, device, fallback, memory_limit, without, repeats, top, trace
) -> None:
    """Run a graph on zeros kernel by kernel, and say what each takes: time, GFLOP/s, GB/s, share of the device's peak.

    \b
    flownet profile graphs/lenet5.yaml --train --batch 64
    flownet profile graphs/lenet5.yaml --trace lenet5.json
    """
    import numpy as np

    from flownet.executor.profile import measure, source_lines
    from flownet.executor.profile import trace as trace_of

    plan, chosen = made_plan(state, graph, batch, sizes, device, train, without, fallback, memory_limit)
    for value in plan.graph.inputs:
        plan.program.feed(value.name, np.zeros(tuple(value.type.shape), value.type.dtype.numpy))  # type: ignore[arg-type]
    plan.program.run()
    names = list(plan.graph.outputs)
    whole = []
    for _ in range(repeats):
        start = time.perf_counter()
        plan.program.run()
        plan.program.fetch(names[0])
        whole.append(time.perf_counter() - start)
    measured = measure(plan, repeats)
    peak = chosen.peak_gflops() if hasattr(chosen, "peak_gflops") else 0.0
    if trace:
        with open(trace, "w") as file:
            json.dump(trace_of(measured, plan.graph), file)
    total = sum(m.seconds for m in measured)
    if state.out.json:
        rows = [
            {"kernel": m.step.kernel, "nodes": list(m.step.nodes), "lines": list(source_lines(plan.graph, m.step)), "seconds": m.seconds,
             "gflops": m.gflops, "gbytes": m.gbytes, "device": m.step.device} for m in measured
        ]  # fmt: skip
        state.out.document(
            {"device": chosen.description, "run_seconds": min(whole), "peak_gflops": peak, "steps": rows}
        )
        return
    state.out.say(
        f"{chosen.description}; a run takes {min(whole) * 1e3:.3f} ms, its kernels one by one {total * 1e3:.3f} ms",
        style="bold",
    )
    table = []
    for m in sorted(measured, key=lambda m: -m.seconds)[:top]:
        lines = source_lines(plan.graph, m.step)
        table.append(
            (f"{m.seconds * 1e6:.1f} us", f"{m.seconds / total:.1%}", m.step.kernel, ", ".join(lines[:2]), _rate(m.gflops),
             _rate(m.gflops / peak, ".0%") if peak else "", _rate(m.gbytes), m.step.facts.get("variant", ""))
        )  # fmt: skip
    state.out.table(("time", "share", "kernel", "from", "GFLOP/s", "of peak", "GB/s", "variant"), table)
    if any(math.isnan(m.gflops) for m in measured):
        state.out.say("–: too short to be told from the launch itself")
    if peak:
        state.out.say(
            f"measured peak: {peak:.0f} GFLOP/s of multiply-adds; Winograd's share may exceed it, since it needs fewer of them"
        )


def _rate(number: float, form: str = ".1f") -> str:
    return format(number, form) if math.isfinite(number) else "–"
