"""`flownet eval`: how good trained weights are on a split of the data."""

from __future__ import annotations

import time

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph, graph_options, no_pass, seed
from flownet.cli.output import duration
from flownet.cli.progress import figure

__all__ = ["command"]


@click.command("eval")
@graph
@click.option("--weights", metavar="FILE", required=True, help="The weights to measure.")
@click.option(
    "--split",
    "splits",
    metavar="NAME",
    multiple=True,
    help="Which split of the data, several times for several; test unless given.",
)
@device
@fallback
@seed
@no_pass
@graph_options
@invocation
def command(
    state: Invocation,
    graph: str,
    weights: str,
    splits: tuple[str, ...],
    device: str,
    fallback: str,
    seed: int | None,
    without: tuple[str, ...],
) -> None:
    """Loss and metrics of trained weights on a split of the data, each example once.

    \b
    flownet eval graphs/digits.yaml --weights runs/digits/weights.safetensors
    flownet eval graphs/digits.yaml --weights runs/digits/weights.safetensors --split train --json
    """
    from flownet.network import compile, evaluate

    document = state.load(graph)
    network = compile(
        document, device=device, seed=seed, weights=weights, registry=state.registry, without=without, fallback=fallback,
    )  # fmt: skip
    started = time.monotonic()
    found = evaluate(network, splits or ("test",), data_root=state.data_dir)
    seconds = time.monotonic() - started
    metrics = {split: {"loss": result.loss, **result.metrics} for split, result in found.items()}
    if state.out.json:
        described = network.session.device.description
        state.out.document(
            {"run": graph, "weights": weights, "metrics": metrics, "device": described, "seconds": round(seconds, 3)}
        )
        return
    names = list(dict.fromkeys(name for figures in metrics.values() for name in figures))
    rows = [(split, *(figure(name, figures[name]) for name in names)) for split, figures in metrics.items()]
    state.out.table(("split", *names), rows)
    state.out.say(f"{network.session.device.description}, {duration(seconds)}")
