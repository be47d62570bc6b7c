"""`flownet expand`: the full form of a graph file."""

from __future__ import annotations

import click

from flownet.cli.files import write_text
from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import graph, graph_options

__all__ = ["command"]


@click.command("expand")
@graph
@click.option("--output", "-o", metavar="FILE", help="Write there instead of standard output.")
@graph_options
@invocation
def command(state: Invocation, graph: str, output: str | None) -> None:
    """Print the graph in full form: every node with its name, op, inputs and attributes.

    Blocks, repeats, includes, expressions and overrides are carried out; the result is a graph file of the same
    meaning.

    \b
    flownet expand graphs/resnet20.yaml
    flownet expand graphs/lenet5.yaml --set vars.width=12 -o wide.yaml
    """
    from flownet.language import expand

    document = state.load(graph)
    text = expand(document)
    if output:
        write_text(output, text)
        state.out.say(f"wrote {output}")
    if state.out.json:
        state.out.document({"graph": _tree(text)})
    elif not output:
        click.echo(text, nl=not text.endswith("\n"))


def _tree(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)
