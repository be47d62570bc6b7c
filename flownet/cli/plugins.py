"""`flownet plugins`: what is installed, what it brings, and what does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, plugin_dir
from flownet.cli.program import as_plain

if TYPE_CHECKING:
    from flownet.registry import Plugin, Registry

__all__ = ["command"]


@click.command("plugins")
@as_json
@plugin_dir
@invocation
def command(state: Invocation) -> None:
    """List the plugins that were found, what each brings, why one does not work, and what nobody can use.

    \b
    flownet plugins
    flownet plugins --plugin-dir my_ops/
    """
    plugins = list(state.registry.plugins.values())
    if state.out.json:
        state.out.document(
            {
                "plugins": [
                    {
                        "name": plugin.name,
                        "version": plugin.version,
                        "origin": plugin.origin,
                        "brings": plugin.brings,
                        "listens": plugin.listens,
                        "problem": as_plain(plugin.problem) if plugin.problem else None,
                        "remarks": [as_plain(remark) for remark in state.registry.remarks(plugin.name)],
                    }
                    for plugin in plugins
                ],
            }
        )
        return
    rows = [
        (p.name, p.version or "–", _state(p, state.registry), _counts(p.brings, p.listens), p.origin) for p in plugins
    ]
    state.out.table(("plugin", "version", "state", "brings", "from"), rows)
    state.out.diagnostics(plugin.problem for plugin in plugins if plugin.problem)
    state.out.diagnostics(state.registry.remarks())


def _state(plugin: Plugin, registry: Registry) -> str:
    if plugin.problem:
        return "broken"
    return "works in part" if registry.remarks(plugin.name) else "works"


def _counts(brings: dict[str, list[str]], listens: list[str]) -> str:
    """`3 ops (maxout, mish, focal), 1 dataset (moons)`; a long list is only counted."""
    texts = []
    for kind, names in brings.items():
        plural = {"pass": "passes"}.get(kind, f"{kind}s") if len(names) != 1 else kind
        texts.append(f"{len(names)} {plural}" + (f" ({', '.join(names)})" if len(names) <= 4 else ""))
    return ", ".join([*texts, *(["listens to training"] if listens else [])]) or "nothing"
