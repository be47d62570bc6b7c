"""The built-in commands: what each is called, where its file is, and the line that `flownet --help` says of it.

A command's file is imported when the command is used, so that `flownet --help` does not wait for what only one of them
needs.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import click

__all__ = ["SECTIONS", "LazyCommand", "builtin_commands"]

# section -> command -> summary; the file is flownet/cli/<command>.py, and its `command` the click command
SECTIONS: dict[str, dict[str, str]] = {
    "Train and use": {
        "train": "Train a graph file: weights, a log and a learning curve.",
        "eval": "Loss and metrics of trained weights on a split of the data.",
        "run": "Run a graph on your own files, and write its outputs.",
        "report": "One page about a run: figures, learning curve, graph, settings.",
    },
    "Look at a graph": {
        "check": "Say all that is wrong with graph files.",
        "expand": "Print the graph in full form, without blocks, repeats and expressions.",
        "describe": "A table of the nodes: types, parameters, FLOPs, memory.",
        "draw": "Draw the graph: SVG, PNG, DOT or text.",
        "schema": "Print the JSON Schema of graph files, for editors.",
    },
    "Data and plugins": {
        "data": "List, describe, add and look at datasets.",
        "plugins": "List the installed plugins and what they bring.",
        "op": "Show, test and start ops.",
    },
    "Devices and speed": {
        "devices": "List the devices, and test their kernels.",
        "plan": "Show the compiled plan: fused groups, kernels, memory.",
        "profile": "Run a graph, and say where the time goes.",
        "bench": "Measure training and inference.",
        "diff": "Find the first node in which two devices differ.",
    },
}


class LazyCommand(click.Command):
    """Stands for a command whose file is not imported yet."""

    def __init__(self, name: str, summary: str, section: str, module: str) -> None:
        super().__init__(name, short_help=summary)
        self.section, self.module = section, module

    def load(self) -> click.Command:
        """The command itself."""
        return importlib.import_module(self.module).command

    def invoke(self, ctx: click.Context) -> Any:
        return self.load().invoke(ctx)


def builtin_commands() -> Iterator[LazyCommand]:
    """All of them, in the order of the help."""
    for section, commands in SECTIONS.items():
        for name, summary in commands.items():
            if importlib.util.find_spec(f"flownet.cli.{name}"):
                yield LazyCommand(name, summary, section, f"flownet.cli.{name}")
