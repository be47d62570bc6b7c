"""`flownet check`: all that is wrong with graph files, in one go."""

from __future__ import annotations

from dataclasses import replace

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import graph_options
from flownet.cli.program import as_plain

__all__ = ["command"]


@click.command("check")
@click.argument("graphs", metavar="GRAPH...", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@graph_options
@invocation
def command(state: Invocation, graphs: tuple[str, ...], strict: bool) -> int:
    """Say all that is wrong with graph files: line, column, near names, what to do.

    Exit status 1 if there is an error in any of them.

    \b
    flownet check my_graph.yaml
    flownet check --json graphs/*.yaml
    """
    from flownet.language import check

    found = []
    for source in graphs:
        document, diagnostics = check(
            source,
            overrides=state.overrides,
            registry=state.registry,
            data_root=state.data_dir,
            trust_plugins=state.trust_plugins,
            confirm=state.confirm,
        )
        if strict:
            diagnostics = [replace(diagnostic, severity="error") for diagnostic in diagnostics]
        found += [(source, diagnostic) for diagnostic in diagnostics]
        state.out.diagnostics(diagnostics)
        errors = sum(diagnostic.severity == "error" for diagnostic in diagnostics)
        warnings = len(diagnostics) - errors
        if document is not None and not errors:
            count = len(document.graph.nodes)
            what = f"{count} node{'s' * (count != 1)}, nothing is wrong"
        else:
            what = f"{errors} error{'s' * (errors != 1)}"
        state.out.say(f"{source}: {what}" + (f", {warnings} warning{'s' * (warnings != 1)}" if warnings else ""))
    if state.out.json:
        # a diagnostic without a place in the text (a missing file, say) belongs to the file that was asked about
        plain = [
            {**as_plain(diagnostic), "file": as_plain(diagnostic)["file"] or source} for source, diagnostic in found
        ]
        state.out.document({"diagnostics": plain})
    return int(any(diagnostic.severity == "error" for _, diagnostic in found))
