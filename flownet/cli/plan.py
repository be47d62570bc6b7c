"""`flownet plan`: the compiled plan of a graph."""

from __future__ import annotations

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, graph, graph_options, no_pass, sizes
from flownet.cli.output import amount, size

__all__ = ["command", "fallback_option", "made_plan"]

fallback_option = click.option(
    "--fallback", type=click.Choice(["error", "warn", "cpu"]), default="warn", show_default=True,
    help="What happens to an op without kernels on the device.",
)  # fmt: skip


def made_plan(
    state: Invocation,
    source: str,
    batch: int,
    sizes: dict[str, int],
    device: str,
    train: bool,
    without,
    fallback: str,
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
    chosen = choose_device(device, state.registry, fallback=fallback)
    session = Session(chosen, without=without, check=check, passes=pipeline_of(chosen, state.registry))
    numbers = {name: sizes.get(name, batch) for name in sorted(graph.symbols())}
    return session.plan(graph, numbers), chosen


@click.command("plan")
@graph
@click.option("--train", is_flag=True, help="The plan of a training step, not of inference.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Examples in a batch.")
@sizes
@device
@fallback_option
@no_pass
@click.option("--check", is_flag=True, help="Verify the graph behind every pass.")
@graph_options
@invocation
def command(state: Invocation, graph, train, batch, sizes, device, fallback, without, check) -> None:
    """The compiled plan: kernels with the lines that they come from, variants, FLOPs, bytes, placement, memory.

    \b
    flownet plan graphs/resnet20.yaml --train --batch 64
    flownet plan graphs/resnet20.yaml --device cpu --json
    flownet plan graphs/resnet20.yaml --no-pass fuse_epilogues
    """
    from flownet.executor.profile import plan_document, source_lines

    plan, chosen = made_plan(state, graph, batch, sizes, device, train, without, fallback, check)
    if state.out.json:
        state.out.document({"device": chosen.description, **plan_document(plan)})
        return
    state.out.say(f"{chosen.description}: {getattr(chosen, 'reason', '')}", style="bold")
    rows = []
    for step in plan.program.steps:
        lines = source_lines(plan.graph, step)
        where = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        facts = step.facts
        stage = f"{facts['stage']}{' set-up' if facts.get('setup') else ''}" if "stage" in facts else ""
        note = facts.get("reason") or facts.get("variant", "")
        rows.append((stage, step.kernel, where, step.device, amount(step.flops), size(step.bytes), note))
    state.out.table(("stage", "kernel", "from", "device", "FLOPs", "bytes", "variant"), rows)
    found = plan_document(plan)
    state.out.say(
        f"peak memory {size(found['peak_bytes'])}, of which the arena {size(found['arena_bytes'])} for {len(found['buffers'])} buffers"
    )
    hosted = [row for row in plan.program.steps if row.device == "cpu" and chosen.name != "cpu"]
    for step in hosted:
        state.out.say(f"on the processor: {step.kernel} ({step.facts.get('reason', '')})")
