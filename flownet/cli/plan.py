"""`flownet plan`: the compiled plan of a graph."""

from __future__ import annotations

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph, graph_options, memory_limit, no_pass, sizes
from flownet.cli.output import amount, size

__all__ = ["command", "made_plan"]


def made_plan(
    state: Invocation,
    source: str,
    batch: int,
    sizes: dict[str, int],
    device: str,
    train: bool,
    without,
    fallback: str,
    memory_limit: int | None = None,
    check=False,
):
    """(plan, device) of a graph file for a batch."""
    from flownet.devices.choose import choose_device
    from flownet.errors import FlownetError
    from flownet.executor import Session
    from flownet.network import pipeline_of
    from flownet.passes.specialise_inference import specialise_inference
    from flownet.training.training_graph import training_graph

    document = state.load(source)
    if train and document.train is None:
        raise FlownetError.of("no-train-section", "the graph file says nothing of training", help="leave `--train` out")
    graph = training_graph(document.train) if train else specialise_inference(document.graph)
    chosen = choose_device(device, state.registry, fallback=fallback, memory_limit=memory_limit)
    session = Session(chosen, without=without, check=check, passes=pipeline_of(chosen, state.registry))
    numbers = {name: sizes.get(name, batch) for name in sorted(graph.symbols())}
    return session.plan(graph, numbers), chosen


@click.command("plan")
@graph
@click.option("--train", is_flag=True, help="The plan of a training step, not of inference.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Examples in a batch.")
@sizes
@device
@fallback
@memory_limit
@no_pass
@click.option("--buffers", is_flag=True, help="List the buffers too: where they lie, and from which stage to which.")
@click.option("--check", is_flag=True, help="Verify the graph behind every pass.")
@graph_options
@invocation
def command(
    state: Invocation, graph, train, batch, sizes, device, fallback, memory_limit, without, buffers, check
) -> None:
    """The compiled plan: kernels with the lines that they come from, variants, FLOPs, bytes, placement, memory.

    \b
    flownet plan graphs/resnet20.yaml --train --batch 64
    flownet plan graphs/resnet20.yaml --device cpu --json
    flownet plan graphs/resnet20.yaml --no-pass fuse_epilogues
    flownet plan graphs/resnet20.yaml --train --batch 64 --buffers --memory-limit 0
    """
    from flownet.executor.profile import plan_document, source_lines

    quiet = "cpu" if fallback == "warn" else fallback  # what runs in NumPy is in the table
    plan, chosen = made_plan(state, graph, batch, sizes, device, train, without, quiet, memory_limit, check)
    if state.out.json:
        state.out.document({"device": chosen.description, **plan_document(plan)})
        return
    state.out.say(f"{chosen.description}: {getattr(chosen, 'reason', '')}", style="bold")
    rows = []
    for step in plan.program.steps:
        lines = source_lines(plan.graph, step)
        where = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        facts = step.facts
        stage = f"{facts.get('stage', '')}{' set-up' if facts.get('setup') else ''}".strip()
        note = facts.get("reason") or facts.get("variant", "")
        rows.append((stage, step.kernel, where, step.device, amount(step.flops), size(step.bytes), note))
    state.out.table(("stage", "kernel", "from", "device", "FLOPs", "bytes", "variant"), rows)
    found = plan_document(plan)
    if buffers:
        lives = [
            (b["offset"], b["name"], size(b["bytes"]), f"{b['first']} to {b['last']}")
            for b in sorted(found["buffers"], key=lambda b: (b["first"], b["offset"]))
        ]
        state.out.table(("offset", "buffer", "size", "lives in stages"), lives)
    state.out.say(
        f"peak memory {size(found['peak_bytes'])}, of which the arena {size(found['arena_bytes'])} for {len(found['buffers'])} buffers"
    )
    hosted = [row for row in plan.program.steps if row.device == "cpu" and chosen.name != "cpu"]
    for step in hosted:
        moved = step.facts.get("transferred", 0)
        copies = f"{size(moved)} are copied in a run" if moved else "nothing is copied for it"
        state.out.say(f"on the processor: {step.kernel} ({step.facts.get('reason', '')}); {copies}")
