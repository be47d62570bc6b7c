"""`flownet bench`: milliseconds of inference and of a training step, and the tuning of kernels."""

from __future__ import annotations

import statistics
import time

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph, graph_options, memory_limit, no_pass, sizes
from flownet.cli.output import size
from flownet.cli.plan import made_plan

__all__ = ["command"]


@click.command("bench")
@graph
@click.option("--train", is_flag=True, help="A training step, not inference.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Examples in a batch.")
@sizes
@device
@fallback
@memory_limit
@no_pass
@click.option("--seconds", type=float, default=3.0, show_default=True, help="How long to measure.")
@click.option(
    "--tune",
    is_flag=True,
    help="First measure all candidates of every convolution, and keep the fastest for this device.",
)
@graph_options
@invocation
def command(
    state: Invocation, graph, train, batch, sizes, device, fallback, memory_limit, without, seconds, tune
) -> None:
    """Measure a graph on zeros: the median time of a run, and the memory that it takes.

    \b
    flownet bench graphs/resnet20.yaml --train --batch 64
    flownet bench graphs/resnet20.yaml --train --batch 64 --tune
    """
    import numpy as np

    start = time.perf_counter()
    plan, chosen = made_plan(state, graph, batch, sizes, device, train, without, fallback, memory_limit)
    if tune and not hasattr(chosen, "tuning"):
        state.out.warn(
            "no-effect", f"`--tune` has no effect on the device `{chosen.name}`: it has one kernel for each op"
        )
    elif tune:
        kept = False
        for problem, direction in list(chosen.convolutions):
            try:
                results = chosen.tuning.tune(problem, direction)
            finally:
                kept = chosen.tuning.save()  # what was found is kept, whatever comes next
            model, best = results[0], min(results, key=lambda r: r[1])
            state.out.say(
                f"{problem.label(direction)}: {best[0]} {best[1] * 1e3:.3f} ms (the model's choice: {model[1] * 1e3:.3f} ms)"
            )
            for name, _, note in results:
                if note:
                    state.out.say(f"    {name}: {note}")
        if kept:
            state.out.say(f"choices are kept in {chosen.tuning.path}")
        plan, chosen = made_plan(state, graph, batch, sizes, device, train, without, fallback, memory_limit)
    ready = time.perf_counter() - start
    for value in plan.graph.inputs:
        plan.program.feed(value.name, np.zeros(tuple(value.type.shape), value.type.dtype.numpy))  # type: ignore[arg-type]
    name = next(iter(plan.graph.outputs))
    times: list[float] = []
    plan.program.run()
    plan.program.fetch(name)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        plan.program.run()
        plan.program.fetch(name)
        times.append(time.perf_counter() - begin)
    median = statistics.median(times)
    flops = sum(step.flops for step in plan.program.steps)
    figures = {
        "device": chosen.description, "milliseconds": median * 1e3, "best_milliseconds": min(times) * 1e3, "runs": len(times),
        "gflops": flops / median / 1e9, "peak_bytes": plan.program.peak_bytes, "start_seconds": ready,
    }  # fmt: skip
    if state.out.json:
        state.out.document(figures)
        return
    state.out.say(f"{chosen.description}: {getattr(chosen, 'reason', '')}", style="bold")
    state.out.say(
        f"{median * 1e3:.3f} ms (best {min(times) * 1e3:.3f}, {len(times)} runs), {figures['gflops']:.1f} GFLOP/s, "
        f"memory {size(plan.program.peak_bytes)}, ready after {ready:.2f} s"
    )
