"""The options that several commands share, each with one meaning everywhere.

Those that all commands treat alike (`--set`, `--data-dir`, `--plugin-dir`, `--trust-plugins`, `--json`) fill the
`Invocation` and are no arguments of the command; `--device`, `--seed` and `--no-pass` are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from flownet.cli.invocation import Invocation

__all__ = [
    "as_json", "data_dir", "device", "graph", "graph_options", "no_pass", "overrides", "plugin_dir", "seed", "sizes",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def _kept(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that enters the option in the invocation; options given several times, or at two places, add up."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        state = context.ensure_object(Invocation)
        if name == "json":
            state.out.json = state.out.json or value
        elif isinstance(value, tuple):
            setattr(state, name, (*getattr(state, name), *value))
        elif value is not None:
            setattr(state, name, value or getattr(state, name))
        return value

    return keep


def _shared(name: str, *declarations: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*declarations, expose_value=False, is_eager=True, callback=_kept(name), **settings)


as_json = _shared("json", "--json", is_flag=True, help="Print one JSON document to standard output.")
plugin_dir = _shared(
    "plugin_dirs", "--plugin-dir", metavar="DIR", multiple=True, help="Load the Python files of a folder as plugins."
)
data_dir = _shared("data_dir", "--data-dir", metavar="DIR", help="The folder of the datasets, instead of FLOWNET_DATA.")
overrides = _shared(
    "overrides", "--set", metavar="PATH=VALUE", multiple=True,
    help="Override a value of the file: --set train.epochs=3 --set vars.width=12.",
)  # fmt: skip
trust_plugins = _shared(
    "trust_plugins",
    "--trust-plugins",
    is_flag=True,
    help="Run the Python files that the graph file names, without asking.",
)

graph = click.argument("graph", metavar="GRAPH")
device = click.option(
    "--device", default="auto", show_default=True, metavar="NAME",
    help="auto, cpu, opencl, opencl:0, opencl:nvidia, or a plugin's.",
)  # fmt: skip
seed = click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Start weights, order and random numbers from N."
)
no_pass = click.option("--no-pass", "without", metavar="PASS", multiple=True, help="Switch a pass of the compiler off.")
sizes = click.option(
    "--size", "sizes", metavar="NAME=NUMBER", multiple=True, callback=lambda *a: _numbers(a[2]),
    help="A number for a size that the file leaves open: --size H=224.",
)  # fmt: skip


def graph_options(command: F) -> F:
    """What every command that reads a graph file takes."""
    for option in (as_json, trust_plugins, plugin_dir, data_dir, overrides):
        command = option(command)
    return command


def _numbers(texts: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not number.isdigit() or not int(number) or not name:
            raise click.BadParameter(f"{text!r} is not NAME=NUMBER", param_hint="--size")
        found[name] = int(number)
    return found
