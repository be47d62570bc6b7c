"""`flownet schema`: the JSON Schema of graph files."""

from __future__ import annotations

import json

import click

from flownet.cli.files import write_text
from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, plugin_dir

__all__ = ["command"]


@click.command("schema")
@click.option("--output", "-o", metavar="FILE", help="Write there instead of standard output.")
@as_json
@plugin_dir
@invocation
def command(state: Invocation, output: str | None) -> None:
    """Print the JSON Schema of graph files, with every op, dataset and optimiser that is installed.

    Editors complete and check by it. For VS Code with the YAML extension, put this line at the top of a graph file:

    \b
    # yaml-language-server: $schema=flownet.schema.json

    \b
    flownet schema -o flownet.schema.json
    """
    from flownet.language import schema

    document = schema(state.registry)
    if output:
        write_text(output, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        state.out.say(f"wrote {output}")
    if state.out.json or not output:
        state.out.document(document)
