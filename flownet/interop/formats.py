"""The contract of importers and exporters: foreign files in, foreign files out.

A plugin brings them by `flownet_importers` and `flownet_exporters`; a file's suffix chooses one, `--format` overrules it.

    class Csv(Exporter):
        \"\"\"One CSV file a parameter, in a folder.\"\"\"
        name = "csv"
        suffixes = (".csvs",)

        def write(self, model, path):
            path.mkdir()
            for name, array in model.weights.items():
                np.savetxt(path / f"{name}.csv", array.reshape(len(array), -1), delimiter=",")
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flownet.errors import FlownetError, near_names
from flownet.graph import Graph
from flownet.registry import Registry

__all__ = ["Exporter", "Format", "Importer", "Model", "format_for"]


@dataclass(frozen=True)
class Model:
    """What goes through an importer or exporter.

    source:  the graph as the tree of a graph file (a dict that `flownet.load` takes); set by importers
    graph:   the typed graph; set for exporters
    weights: parameters and states by value name
    notes:   what could not be carried over exactly, for people
    """

    source: Mapping[str, Any] = field(default_factory=dict)
    graph: Graph | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Format(ABC):
    """A foreign format.

    name:     what `--format` takes
    suffixes: of its files, with the dot; `.tar.gz` is one too
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()


class Importer(Format):
    """Reads a foreign file."""

    @abstractmethod
    def read(self, path: Path) -> Model:
        """The model in `path`: `source` and `weights`. Raises FlownetError for what cannot be read or expressed."""


class Exporter(Format):
    """Writes a foreign file."""

    @abstractmethod
    def write(self, model: Model, path: Path) -> None:
        """Write `graph` and `weights` to `path`. Raises FlownetError, naming the nodes, for what the format lacks."""


def format_for(registry: Registry, kind: str, path: Path | str, name: str = "") -> Any:
    """An instance of the importer or exporter for a file: the one called `name`, else by the longest fitting suffix.

    kind: `importer` or `exporter`

    Raises FlownetError: `unknown-importer`, `unknown-exporter`.
    """
    if name:
        return registry.get(kind, name)()
    file = Path(path).name.lower()
    fitting = [(len(s), cls) for _, cls in registry.items(kind) for s in cls.suffixes if file.endswith(s)]
    if fitting:
        return max(fitting, key=lambda pair: pair[0])[1]()
    known = {suffix: cls.name for _, cls in registry.items(kind) for suffix in cls.suffixes}
    suffix = Path(path).suffix
    listing = (
        f"known are {', '.join(f'`{s}` ({n})' for s, n in sorted(known.items()))}" if known else "no plugin brings one"
    )
    raise FlownetError.of(
        f"unknown-{kind}", f"no {kind} takes `{Path(path).name}`", help=near_names(suffix, known) or listing
    )
