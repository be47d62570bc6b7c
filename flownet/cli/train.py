"""`flownet train`: from a graph file to weights, a log and a learning curve, with progress on the way."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph_options, memory_limit, no_pass, seed
from flownet.cli.output import Output, duration
from flownet.cli.progress import TrainingProgress, figure
from flownet.errors import FlownetError

if TYPE_CHECKING:
    from flownet.training.run import Result

__all__ = ["command"]

_LATEST = "<latest>"


@click.command("train")
@click.argument("graph", metavar="[GRAPH]", required=False)
@click.option(
    "--epochs", type=click.IntRange(1), metavar="N", help="Train so many epochs instead of what the file says."
)
@click.option("--out", metavar="DIR", help="The run's folder; a new one below runs/ unless given.")
@click.option(
    "--resume", is_flag=False, flag_value=_LATEST, metavar="[DIR]",
    help="Go on from the checkpoint of DIR, of --out, or of this graph's latest run.",
)  # fmt: skip
@click.option(
    "--checkpoint-every", type=click.IntRange(0), metavar="STEPS",
    help="Save one every so many steps, besides those at the ends of epochs; every half minute unless given.",
)  # fmt: skip
@click.option("--weights", metavar="FILE", help="Start from these weights.")
@device
@fallback
@memory_limit
@seed
@no_pass
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but the result.")
@graph_options
@invocation
def command(
    state: Invocation, graph: str | None, epochs: int | None, out: str | None, resume: str | None,
    checkpoint_every: int | None,
    weights: str | None, device: str, fallback: str, memory_limit: int | None, seed: int | None, without: tuple[str, ...], quiet: bool,
) -> int:  # fmt: skip
    """Train a graph file as its `train` section says.

    The run's folder gets weights.safetensors, log.jsonl (a line a step), learning_curve.png, checkpoint.safetensors and
    graph.yaml (the file in full form). Ctrl-C saves a checkpoint; --resume goes on from it to the same weights, bit for
    bit, that an uninterrupted run ends with.

    \b
    flownet train graphs/digits.yaml
    flownet train graphs/lenet5.yaml --set train.epochs=3 --device cpu
    flownet train graphs/lenet5.yaml --out runs/mine
    flownet train --resume runs/mine
    """
    from flownet.network import compile, train

    started = time.monotonic()
    graph, folder = _sources(graph, out, resume)
    document = state.load(graph)
    if epochs is not None and document.train is not None:
        document = replace(document, train=replace(document.train, epochs=epochs))
    network = compile(
        document, device=device, seed=seed, weights=weights, registry=state.registry, without=without, fallback=fallback, memory_limit=memory_limit,
    )  # fmt: skip
    progress = TrainingProgress(state.out, quiet)
    progress.say(f"device: {network.session.device.description}" + _why(network.session.device))
    with progress:
        result = train(
            network,
            folder=folder,
            callback=progress,
            resume=resume is not None,
            checkpoint_every=checkpoint_every,
            data_root=state.data_dir,
            on_start=progress.begin,
        )
    go_on = _command_to_go_on(result, device)
    if state.out.json:
        state.out.document(_plain(result, network.session.device, go_on, time.monotonic() - started))
    else:
        _tell(state.out, result, go_on, quiet)
    return 130 if result.stopped == "interrupted" else 0


def _sources(graph: str | None, out: str | None, resume: str | None) -> tuple[str, Path | None]:
    """The graph file and the run's folder that the arguments mean."""
    from flownet.training.run import CHECKPOINT, GRAPH, WEIGHTS

    folder = Path(out).expanduser() if out else None
    if resume is None:
        if graph is None:
            raise click.UsageError("Missing argument 'GRAPH'.")
        if folder is not None and any((folder / name).exists() for name in (CHECKPOINT, WEIGHTS)):
            raise FlownetError.of(
                "run-exists", f"`{folder}` holds a run already", "its weights and its checkpoint would be overwritten",
                help="`--resume` goes on with it; for a new one, name another folder by `--out`",
            )  # fmt: skip
        return graph, folder
    if resume != _LATEST:
        given = Path(resume).expanduser()
        if graph is None and given.is_file():
            raise click.UsageError(f"--resume takes a run's folder, and {resume} is a file: put the graph first.")
        if folder is not None and folder != given:
            raise click.UsageError("--resume DIR and --out name two folders.")
        folder = given
    if folder is None:
        if graph is None:
            raise click.UsageError("--resume alone does not say which run: name its folder, or the graph.")
        folder = _latest(Path(graph).stem)
    if not (folder / CHECKPOINT).is_file():
        raise FlownetError.of("no-checkpoint", f"there is no checkpoint in `{folder}`", help="train without `--resume`")
    return graph or str(folder / GRAPH), folder


def _latest(name: str) -> Path:
    """The folder below runs/ whose checkpoint of that graph was saved last."""
    from flownet.training.run import CHECKPOINT

    numbered = re.compile(rf"{re.escape(name)}(-\d+)?")
    own = [path for path in Path("runs").glob(f"*/{CHECKPOINT}") if numbered.fullmatch(path.parent.name)]
    if not own:
        raise FlownetError.of(
            "no-checkpoint", f"there is no run of `{name}` in `runs/`", help="name the folder: `--resume DIR`"
        )
    return max(own, key=lambda path: path.stat().st_mtime).parent


def _why(device: Any) -> str:
    reason = getattr(device, "reason", "")
    return f" ({reason})" if reason else ""


def _command_to_go_on(result: Result, device: str) -> str:
    chosen = "" if device == "auto" else f" --device {device}"
    return f"flownet train --resume {result.folder}{chosen}"


def _files(result: Result) -> dict[str, str]:
    from flownet.training import run

    names = {
        "weights": run.WEIGHTS,
        "log": run.LOG,
        "learning_curve": run.CURVE,
        "checkpoint": run.CHECKPOINT,
        "graph": run.GRAPH,
    }
    return {what: str(result.folder / name) for what, name in names.items() if (result.folder / name).exists()}


def _plain(result: Result, device: Any, go_on: str, seconds: float) -> dict[str, Any]:
    plain = {
        "run": str(result.folder),
        "weights": str(result.weights),
        "metrics": {split: dict(figures) for split, figures in result.metrics.items()},
        "epochs": result.epochs,
        "seconds": round(seconds, 3),
        "training_seconds": round(result.seconds, 3),
        "device": device.description,
        "stopped": result.stopped or None,
        "files": _files(result),
    }
    return plain | ({"resume": go_on} if result.stopped == "interrupted" else {})


def _tell(out: Output, result: Result, go_on: str, quiet: bool) -> None:
    if result.stopped == "interrupted":
        out.say(f"interrupted in epoch {result.epochs + 1}; to go on: {go_on}", style="bold yellow")
    elif result.stopped:
        out.say(f"{result.stopped} after {result.epochs} epochs", style="yellow")
    if result.metrics:
        names = list(dict.fromkeys(name for figures in result.metrics.values() for name in figures))
        rows = [
            (split, *(figure(name, figures.get(name)) for name in names)) for split, figures in result.metrics.items()
        ]
        out.table(("split", *names), rows)
    if not quiet:
        out.say(f"{result.epochs} epochs in {duration(result.seconds)}; files in {result.folder}:")
        for what, path in _files(result).items():
            out.say(f"  {Path(path).name:24} {_MEANING[what]}")


_MEANING = {
    "weights": "the trained parameters, for `flownet eval` and `flownet run`",
    "log": "a line of JSON for every step and epoch",
    "learning_curve": "loss and metrics over the epochs",
    "checkpoint": "all that `--resume` needs",
    "graph": "the graph file in full form",
}
