"""The plugin manager: which names there are, who brought them, and what went wrong on the way.

A `Registry` is made, never global: tests and embedders make their own. One broken plugin is reported and left out, and the
rest go on working; two plugins that claim one name are an error that names both; registering the same thing twice is none.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from flownet import hookspecs
from flownet.errors import Diagnostic, FlownetError, near_names

__all__ = ["KINDS", "Plugin", "Registry", "default_registry"]

# kind -> the hook that brings things of that kind
KINDS = {
    "op": "flownet_ops",
    "kernel": "flownet_kernels",
    "initialiser": "flownet_initialisers",
    "schedule": "flownet_schedules",
    "dataset": "flownet_datasets",
    "augmentation": "flownet_augmentations",
    "pass": "flownet_passes",
    "device": "flownet_devices",
    "importer": "flownet_importers",
    "exporter": "flownet_exporters",
    "command": "flownet_commands",
}

# The built-ins register like anybody's plugin; a name is imported only when a registry is made.
_BUILTIN = ("flownet.builtin",)


@dataclass
class Plugin:
    """One plugin as `flownet plugins` lists it: its name and version, what it brings, and why it is not working."""

    name: str
    version: str = ""
    origin: str = ""
    brings: dict[str, list[str]] = field(default_factory=dict)
    problem: Diagnostic | None = None


class Registry:
    """The things with names: `registry.get("op", "dense")`."""

    def __init__(self, *, entry_points: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self._things: dict[str, dict[str, tuple[Any, str]]] = {kind: {} for kind in KINDS}
        for module in _BUILTIN:
            self.register(importlib.import_module(module), "flownet", importlib.metadata.version("flownet"))
        if entry_points:
            for point in importlib.metadata.entry_points(group=hookspecs.PROJECT):
                self._register_entry_point(point)

    # -- looking things up -----------------------------------------------------------------------------------------------

    def names(self, kind: str) -> list[str]:
        return sorted(self._things[kind])

    def items(self, kind: str) -> Iterator[tuple[str, Any]]:
        """(name, thing), by name."""
        return ((name, self._things[kind][name][0]) for name in self.names(kind))

    def find(self, kind: str, name: str) -> Any | None:
        found = self._things[kind].get(name)
        return found[0] if found else None

    def get(self, kind: str, name: str) -> Any:
        """The thing of that name. Raises FlownetError (`unknown-op`, `unknown-dataset`, …) with near names."""
        found = self.find(kind, name)
        if found is None:
            known = self.names(kind)
            broken = [plugin.name for plugin in self.plugins.values() if plugin.problem]
            notes = [f"the plugin `{b}` could not be loaded: see `flownet plugins`" for b in broken]
            raise FlownetError.of(
                f"unknown-{kind}", f"there is no {kind} `{name}`", *notes,
                help=near_names(name, known) or f"known: {', '.join(known)}",
            )  # fmt: skip
        return found

    def owner(self, kind: str, name: str) -> str:
        """The name of the plugin that brought it."""
        return self._things[kind][name][1]

    # -- registering -----------------------------------------------------------------------------------------------------

    def register(self, module: Any, name: str, version: str = "", origin: str = "") -> Plugin:
        """Take in one plugin, whole or not at all. Raises FlownetError for what makes it unusable."""
        plugin = Plugin(name, version, origin or getattr(module, "__name__", str(module)))
        if any(known is module for _, known in self.manager.list_name_plugin()):
            return next(p for p in self.plugins.values() if p.origin == plugin.origin)
        self._check_api(module, name)
        try:
            self.manager.register(module, name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            self._forget(module)
            hooks = [hook for hook in dir(hookspecs) if hook.startswith("flownet_")]
            bad = next((attr for attr in dir(module) if attr.startswith("flownet_") and attr not in (*hooks, "flownet_api")), "")
            raise FlownetError.of(
                "bad-hook", f"plugin `{name}`: {str(error).splitlines()[0]}",
                help=near_names(bad, hooks) if bad else "the hooks are documented in `flownet.hookspecs`",
            ) from None  # fmt: skip
        try:
            gathered = {kind: dict(self._gather(module, kind, hook)) for kind, hook in KINDS.items()}
            for kind, things in gathered.items():
                for thing_name, thing in things.items():
                    self._check_conflict(kind, thing_name, thing, name)
        except BaseException:
            self._forget(module)
            raise
        for kind, things in gathered.items():
            for thing_name, thing in things.items():
                self._things[kind].setdefault(thing_name, (thing, name))
            if things:
                plugin.brings[kind] = sorted(things)
        self.plugins[name] = plugin
        return plugin

    def load_directory(self, folder: Path | str) -> list[Plugin]:
        """Take in every `*.py` of a folder as a plugin of its own. One that is broken is reported in `plugins`."""
        folder = Path(folder)
        if not folder.is_dir():
            raise FlownetError.of("no-plugin-dir", f"there is no folder `{folder}`", help="`--plugin-dir` names a folder of .py files")
        return [self._isolated(path.stem, str(path), lambda path=path: self.load_file(path)) for path in sorted(folder.glob("*.py"))]

    def load_file(self, path: Path | str) -> Plugin:
        """Take in one Python file as a plugin. This runs the file: callers ask the user first where that is due."""
        path = Path(path).resolve()
        module = _module_from(path)
        return self.register(module, path.stem, origin=str(path))

    def _register_entry_point(self, point: importlib.metadata.EntryPoint) -> None:
        name = point.dist.name if point.dist else point.name
        version = point.dist.version if point.dist else ""
        self._isolated(name, point.value, lambda: self.register(point.load(), name, version, point.value))

    def _isolated(self, name: str, origin: str, load: Any) -> Plugin:
        try:
            return load()
        except FlownetError as error:
            problem = error.diagnostics[0]
        except Exception as error:  # a plugin may fail in any way; it must not take the rest down
            problem = Diagnostic(
                "broken-plugin", f"plugin `{name}` could not be loaded: {type(error).__name__}: {error}",
                help=f"mend or uninstall `{name}`; everything else goes on working",
            )  # fmt: skip
        plugin = self.plugins.setdefault(name, Plugin(name, origin=origin))
        plugin.problem = plugin.problem or problem
        return plugin

    def _check_api(self, module: Any, name: str) -> None:
        wanted = getattr(module, "flownet_api", hookspecs.API_VERSION)
        if wanted == hookspecs.API_VERSION:
            return
        newer = isinstance(wanted, int) and wanted > hookspecs.API_VERSION
        raise FlownetError.of(
            "plugin-api", f"plugin `{name}` is written for version {wanted} of the plugin API, this flownet has {hookspecs.API_VERSION}",
            help="pip install --upgrade flownet" if newer else f"pip install --upgrade {name}",
        )  # fmt: skip

    def _gather(self, module: Any, kind: str, hook: str) -> Iterator[tuple[str, Any]]:
        function = getattr(module, hook, None)
        if function is None:
            return
        things: Any = function()
        pairs: Iterable[tuple[str, Any]] = things.items() if isinstance(things, dict) else ((t.name, t) for t in things)
        yield from pairs

    def _check_conflict(self, kind: str, name: str, thing: Any, plugin: str) -> None:
        known = self._things[kind].get(name)
        if known is None or known[0] is thing or _same_source(known[0], thing):
            return
        raise FlownetError.of(
            "plugin-conflict", f"the {kind} `{name}` is claimed by two plugins: `{known[1]}` and `{plugin}`",
            help=f"uninstall one of them, or rename one: `{plugin}` was left out",
        )  # fmt: skip

    def _forget(self, module: Any) -> None:
        if self.manager.is_registered(module):
            self.manager.unregister(module)


def _module_from(path: Path) -> ModuleType:
    # the name holds the path, so that two files called `ops.py` in different folders are two modules
    name = f"flownet_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FlownetError.of("broken-plugin", f"`{path}` is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is being run
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _same_source(a: Any, b: Any) -> bool:
    """Whether two classes are one class loaded twice (an editable install beside `--plugin-dir`, say)."""
    try:
        import inspect

        return a.__qualname__ == b.__qualname__ and inspect.getsource(a) == inspect.getsource(b)
    except (TypeError, OSError, AttributeError):
        return False


@cache
def default_registry() -> Registry:
    """The registry of this process: built-ins and installed plugins, made at first use."""
    return Registry()
