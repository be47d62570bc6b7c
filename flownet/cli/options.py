"""The options that several commands share, each with one meaning everywhere.

Those that all commands treat alike (`--set`, `--data-dir`, `--plugin-dir`, `--trust-plugins`, `--json`) fill the
`Invocation` and are no arguments of the command; `--device`, `--seed` and `--no-pass` are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flownet.cli.invocation import Invocation

__all__ = [
    "as_json", "data_dir", "device", "fallback", "graph", "graph_options", "memory_limit", "no_pass", "overrides", "plugin_dir", "seed", "sizes",
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
no_pass = click.option(
    "--no-pass",
    "without",
    metavar="PASS",
    multiple=True,
    help="Switch a pass of the compiler off: fold_into_weights, fuse_elementwise, plan_memory, … (docs/devices.md lists them).",
)
fallback = click.option(
    "--fallback", type=click.Choice(["error", "warn", "cpu"]), default="warn", show_default=True,
    help="Ops without kernels on the device: refuse them, let NumPy compute them and say so, or say nothing.",
)  # fmt: skip
memory_limit = click.option(
    "--memory-limit", metavar="SIZE", callback=lambda *a: _bytes(a[2]),
    help="Compute cheap values again where a step would keep more than this (500MB); 0 keeps as little as it can. OpenCL only.",
)  # fmt: skip
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


def _bytes(text: str | None) -> int | None:
    """`500MB`, `1.5 GiB` or a number of bytes."""
    if text is None:
        return None
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
    found = re.fullmatch(r"([0-9.]+) *([A-Za-z]*)", text.strip())
    try:
        assert found is not None
        return int(float(found[1]) * units[found[2].upper()])
    except (AssertionError, KeyError, ValueError):
        raise click.BadParameter(f"{text!r} is no size: 500MB, 1.5GiB, or a number of bytes") from None
