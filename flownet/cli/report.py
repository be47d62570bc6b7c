"""`flownet report`: one page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from flownet.cli.files import write_bytes, write_text
from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, data_dir, plugin_dir
from flownet.errors import FlownetError

__all__ = ["command"]


@click.command("report")
@click.argument("run", metavar="RUN")
@click.option("--output", "-o", metavar="FILE", help="A .html or .md; report.html in the run's folder unless given.")
@as_json
@data_dir
@plugin_dir
@invocation
def command(state: Invocation, run: str, output: str | None) -> None:
    """One page about a run: its figures, learning curve, graph and settings.

    The HTML page has all pictures inside; for Markdown the curve lies beside it.

    \b
    flownet report runs/digits
    flownet report runs/digits -o digits.md
    """
    from flownet.inspect.report import Report
    from flownet.training.run import GRAPH

    folder = Path(run).expanduser()
    if not (folder / GRAPH).is_file():
        raise FlownetError.of(
            "no-run", f"`{run}` is no run's folder: it has no {GRAPH}", help="`flownet train` makes one below `runs/`"
        )
    path = Path(output).expanduser() if output else folder / "report.html"
    if path.suffix.lower() not in (".html", ".htm", ".md"):
        raise click.BadParameter(f"{output!r} is neither .html nor .md", param_hint="--output")
    report = Report.of(folder, state.load(str(folder / GRAPH)))
    if path.suffix.lower() == ".md":
        curve = path.with_name(f"{path.stem}_curve.png")
        write_bytes(curve, report.curve())
        write_text(path, report.markdown(curve.name))
    else:
        write_text(path, report.html())
    if state.out.json:
        figures = {split: dict(found) for split, found in report.figures.items()}
        state.out.document({"file": str(path), "run": str(folder), "metrics": figures, "facts": dict(report.facts())})
    else:
        state.out.say(f"wrote {path}")
