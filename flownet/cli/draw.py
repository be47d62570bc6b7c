"""`flownet draw`: a picture of the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from flownet.cli.files import write_bytes
from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import graph, graph_options

__all__ = ["command"]


@click.command("draw")
@graph
@click.option(
    "--output", "-o", metavar="FILE", help="A .svg, .png, .dot or .txt; text on standard output unless given."
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "png", "dot", "text"]), help="Unless the file's name says it."
)
@click.option(
    "--depth",
    type=click.IntRange(0),
    metavar="N",
    help="Draw blocks more than N names deep as one box; 0 draws every node.",
)
@graph_options
@invocation
def command(state: Invocation, graph: str, output: str | None, form: str | None, depth: int | None) -> None:
    """Draw the graph from top to bottom: a box a node, with its attributes and its output's type.

    \b
    flownet draw graphs/lenet5.yaml
    flownet draw graphs/resnet20.yaml -o resnet20.svg
    flownet draw graphs/unet_small.yaml --depth 1 -o unet.png
    """
    from flownet.inspect.drawing import Drawing

    form = form or _form_of(output)
    document = state.load(graph)
    by_block = depth is None
    depth = Drawing.depth_for(document.graph) if by_block else depth or None
    drawing = Drawing.of(document.graph, depth)
    draw: dict[str, Callable[[], str | bytes]] = {
        "svg": drawing.svg, "png": drawing.png, "dot": drawing.dot, "text": drawing.text,
    }  # fmt: skip
    data = draw[form]()
    if output:
        write_bytes(output, data if isinstance(data, bytes) else data.encode())
        state.out.say(
            f"wrote {output}" + (" (blocks as one box: `--depth 0` draws every node)" if by_block and depth else "")
        )
    if state.out.json:
        boxes = [{"name": b.name, "title": b.title, "detail": b.detail, "type": b.type} for b in drawing.boxes.values()]
        state.out.document({"file": output, "nodes": boxes, "edges": [list(edge) for edge in drawing.graph.edges]})
    elif not output:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            click.echo(data, nl=False)


def _form_of(output: str | None) -> str:
    if output is None:
        return "text"
    ending = Path(output).suffix.lower()
    forms = {".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".txt": "text"}
    if ending not in forms:
        raise click.BadParameter(f"{output!r} is neither .svg, .png, .dot nor .txt", param_hint="--output")
    return forms[ending]
