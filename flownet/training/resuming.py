"""What may change when a run is resumed, and what may not.

The arrays of a checkpoint belong to a network, and its position to an order of the data: a resumed run has the same network, loss,
metrics, data, batch and seed. How the steps are taken may change, as someone does who lowers the rate of a run that diverged, or adds
epochs to one that is done; it is told, because the result is then not that of one run without a break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from flownet.errors import Diagnostic
from flownet.graph import Graph
from flownet.language.expand import written_value

__all__ = ["CHANGEABLE", "changes", "conflicts", "graph_hash", "settings_of"]

CHANGEABLE = ("optimizer", "schedule", "epochs", "clip", "regularise", "early_stopping")


def settings_of(section: Any) -> dict[str, Any]:
    """What a checkpoint says of the run that wrote it, as JSON holds it."""
    graph = section.graph.copy()
    graph.outputs = {"loss": section.loss, **section.metrics}
    trained = [value.name for value in graph.parameters if value.trainable]
    return {
        "fixed": {
            "network": _hash(graph, trained),
            "data": _hash(repr(section.data), section.feed),
            "batch": section.batch,
            "seed": section.seed,
        },
        "changeable": dict(_leaves({name: written_value(getattr(section, name)) for name in CHANGEABLE})),
    }


def conflicts(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Why a run with the settings `now` cannot go on from a checkpoint of those `saved`."""
    then, here = saved["fixed"], now["fixed"]
    texts = {
        "network": "the network, its loss or its metrics are others",
        "data": "the data, or how they are prepared, are others",
        "batch": f"`batch` was {then['batch']}, is {here['batch']}",
        "seed": f"`seed` was {then['seed']}, is {here['seed']}",
    }
    return [text for name, text in texts.items() if then[name] != here[name]]


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Diagnostic | None:
    """What is different and may be, as a warning."""
    then, here = saved["changeable"], now["changeable"]
    paths = [path for path in {**then, **here} if then.get(path) != here.get(path)]
    if not paths:
        return None
    notes = tuple(f"`{path}` was {_told(then, path)}, is {_told(here, path)}" for path in paths)
    return Diagnostic(
        "resumed-otherwise", "the run goes on with other settings than it began with", notes=notes, severity="warning",
        help="the result is not that of a run without a break; to have that, resume with the settings as they were",
    )  # fmt: skip


def graph_hash(graph: Graph) -> str:
    """Sixteen hexadecimal digits that differ when the graph differs."""
    return _hash(graph)


def _hash(*things: Any) -> str:
    return hashlib.sha256("\n".join(map(str, things)).encode()).hexdigest()[:16]


def _leaves(tree: Any, path: str = "train") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}")
    elif tree is not None:
        yield path, tree


def _told(settings: Mapping[str, Any], path: str) -> str:
    return f"`{settings[path]}`" if path in settings else "not there"
