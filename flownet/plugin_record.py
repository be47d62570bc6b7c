"""Which plugins a model needs: written beside its weights, checked when they are loaded again.

A model that was saved with an op of a plugin is not a model without it. The record is a mapping from the plugin's name to
its version, or to `sha256:…` for a single Python file, which has none.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flownet.errors import Diagnostic, FlownetError
from flownet.registry import BUILTIN, Plugin, Registry

__all__ = ["check_record", "local_from", "plugins_needed", "requirements"]


_KINDS = ("op", "schedule", "dataset", "augmentation", "initialiser")


def plugins_needed(registry: Registry, document: Any) -> dict[str, str]:
    """Plugin -> version, for all plugins that ops, optimiser, data, schedule and initialisers of `document` come from.

    flownet itself is always among them.
    """
    owners = {cls: registry.owner(kind, name) for kind in _KINDS for name, cls in registry.items(kind)}
    names = {BUILTIN} | {owners[type(thing)] for thing in _things(document) if type(thing) in owners}
    return {name: _version(registry.plugins[name]) for name in sorted(names)}


def requirements(registry: Registry, document: Any) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """What `plugins:` of a copy of the file has to name, so that it loads elsewhere: what it names, and what it uses.

    And the Python files that have to lie beside the copy: path from there -> text. With them it may be moved anywhere.
    """
    entries: list[str] = []
    files: dict[str, bytes] = {}
    packages = {_package(entry) for entry in document.plugins}
    said = [(entry, _local(entry, registry, document)) for entry in document.plugins]
    needed = [registry.plugins[name] for name in plugins_needed(registry, document) if name != BUILTIN]
    for entry, plugin in said:
        entries.append(entry if plugin is None else _lay_beside(plugin, files))
    for plugin in needed:
        if plugin.digest:
            entries.append(_lay_beside(plugin, files))
        elif plugin.version and plugin.name.lower().replace("_", "-") not in packages:
            entries.append(f"{plugin.name}>={plugin.version}")
    return tuple(dict.fromkeys(entries)), files


def local_from(folder: Path, registry: Registry, document: Any) -> tuple[str, ...]:
    """What the document says it needs, its single files named from another folder."""
    said = ((entry, _local(entry, registry, document)) for entry in document.plugins)
    return tuple(
        entry if plugin is None else os.path.relpath(plugin.origin, folder.resolve()) for entry, plugin in said
    )


def _local(entry: str, registry: Registry, document: Any) -> Plugin | None:
    """The single file that an entry of `plugins:` names, or None for a package."""
    if not entry.endswith(".py"):
        return None
    path = (Path(document.source).parent / entry).resolve()
    single = [plugin for plugin in registry.plugins.values() if plugin.digest]
    # an entry of an included file counts from that file's folder: its name must do
    return next(
        (p for p in single if p.origin == str(path)),
        next((p for p in single if Path(p.origin).name == path.name), None),
    )


def _lay_beside(plugin: Plugin, files: dict[str, bytes]) -> str:
    """Where the copy of a single file lies, from the folder of the graph file's copy."""
    name = Path(plugin.origin).name
    place = f"plugins/{name}"
    if files.setdefault(place, plugin.text) != plugin.text:  # another file of that name
        place = f"plugins/{plugin.digest}/{name}"
        files[place] = plugin.text
    return f"./{place}"


def check_record(recorded: Mapping[str, str], registry: Registry, what: str) -> None:
    """Raise FlownetError (`missing-plugin`) unless every plugin of a record is here and works.

    what: how messages call what was loaded: "`weights.safetensors`"
    """
    notes, install, files = [], [], []
    for name, version in recorded.items():
        plugin = _of_text(version, registry) or registry.plugins.get(name)
        if plugin is not None and plugin.problem is None:
            if name != BUILTIN and version != _version(plugin):
                _warn_of_change(what, name, version, _version(plugin))
            continue
        if plugin is not None and plugin.problem is not None:
            notes.append(f"`{name}` is installed and does not work: {plugin.problem.message}")
        elif version.startswith("sha256:"):
            notes.append(f"the Python file `{name}.py` was loaded as a plugin")
            files.append(f"{name}.py")
        else:
            notes.append(f"`{name}` {version} is not installed")
            install.append(f"{name}=={version}" if version else name)
    if not notes:
        return
    help = [f"pip install {' '.join(install)}"] if install else []
    help += [f"--plugin-dir with the folder of {', '.join(files)}"] if files else []
    count = len(notes)
    raise FlownetError.of(
        "missing-plugin", f"{what} needs {'a plugin that is' if count == 1 else f'{count} plugins that are'} not here", *notes,
        help=", and ".join(help) or "`flownet plugins` says what is wrong",
    )  # fmt: skip


def _of_text(version: str, registry: Registry) -> Plugin | None:
    """The single file of that very text, whatever it is called here."""
    found = (plugin for plugin in registry.plugins.values() if plugin.digest and _version(plugin) == version)
    return next(found, None)


def _warn_of_change(what: str, name: str, then: str, now: str) -> None:
    versions = f"version {then or 'unknown'} of `{name}`, here is {now or 'unknown'}"
    if then.startswith("sha256:"):
        versions = f"another text of `{name}.py`"
    text = Diagnostic(
        "plugin-changed",
        f"{what} was saved with {versions}",
        help="check that its results are the same",
        severity="warning",
    )
    warnings.warn(str(text), RuntimeWarning, stacklevel=4)


def _version(plugin: Plugin) -> str:
    return f"sha256:{plugin.digest}" if plugin.digest else plugin.version


def _package(requirement: str) -> str:
    for at, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            requirement = requirement[:at]
            break
    return requirement.strip().lower().replace("_", "-")


def _things(document: Any) -> Iterator[Any]:
    """Everything in a document that a plugin may have brought."""
    graphs = [document.graph, *([document.train.graph] if document.train else [])]
    for graph in graphs:
        for node in graph.nodes.values():
            yield node.op
        for value in graph.values.values():
            yield getattr(value.initial, "start", None)
    if document.train:
        yield from (document.train.optimizer, document.train.schedule, document.train.data)
        yield from getattr(document.train.data, "augment", ())
