"""What one call of `flownet` was asked for, shared by the program and the command: plugins, data folder, output."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flownet.cli.output import Output

if TYPE_CHECKING:
    from flownet.language import Document
    from flownet.registry import Registry

__all__ = ["Invocation", "invocation"]


@dataclass
class Invocation:
    """The state that options common to all commands fill; commands get it by `@invocation`.

    out:           where to write
    plugin_dirs:   folders of Python files to load as plugins
    data_dir:      the folder of the datasets; None for FLOWNET_DATA
    overrides:     `--set`
    trust_plugins: run Python files that graph files name, without asking
    """

    out: Output = field(default_factory=Output)
    plugin_dirs: tuple[str, ...] = ()
    data_dir: str | None = None
    overrides: tuple[str, ...] = ()
    trust_plugins: bool = False

    @cached_property
    def registry(self) -> Registry:
        """What is installed, and what `--plugin-dir` adds. Plugins that are broken, and kernels for no op, are told once."""
        from flownet.registry import Registry, default_registry

        registry = Registry() if self.plugin_dirs else default_registry()
        for folder in self.plugin_dirs:
            registry.load_directory(folder)
        if not _names_problems():
            problems = [plugin.problem for plugin in registry.plugins.values() if plugin.problem]
            self.out.diagnostics(_as_warning(problem) for problem in problems)
            self.out.diagnostics(registry.remarks())
        return registry

    def load(self, source: str) -> Document:
        """The document of a graph file, with the overrides; its warnings are printed. Raises FlownetError."""
        from flownet.language import load

        document = load(
            source,
            overrides=self.overrides,
            registry=self.registry,
            data_root=self.data_dir,
            trust_plugins=self.trust_plugins,
            confirm=self.confirm,
        )
        # who needs the data is told by an error when they are opened; who does not need not hear of them
        self.out.diagnostics(warning for warning in document.warnings if warning.code != "data-missing")
        return document

    def confirm(self, path: Path) -> bool:
        """Whether the Python file that a graph file names may be run: `--trust-plugins`, which is said, or the user says so."""
        if self.trust_plugins:
            print(f"running {path}, which the graph file names", file=sys.stderr, flush=True)
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return click.confirm(
            f"the graph file wants to run {path}, which can do anything that you can: run it?", err=True
        )


def _names_problems() -> bool:
    """Whether the command that runs lists broken plugins itself."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "plugins"


def _as_warning(problem):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(problem, severity="warning")


invocation = click.make_pass_decorator(Invocation, ensure=True)


def paths(values: Iterable[str]) -> list[Path]:
    """Texts as paths, `~` followed."""
    return [Path(value).expanduser() for value in values]
