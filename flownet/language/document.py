"""What a graph file comes to: a typed graph, how to train it, and what was remarked on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flownet.errors import Diagnostic
from flownet.graph import Graph
from flownet.source import Span

__all__ = ["Declaration", "Document", "TrainSection"]


@dataclass(frozen=True)
class Declaration:
    """One node in full form, after blocks, repeats and expressions.

    inputs: by the op's argument names, or by position under `0`, `1`, … for a variadic op; values are value names
    init:   an initialiser, or initialisers by parameter name
    """

    name: str
    op: Any
    inputs: Mapping[str, str]
    share: str | None = None
    freeze: bool = False
    init: Any = None
    device: str | None = None


@dataclass(frozen=True)
class TrainSection:
    """How to train.

    graph:      the document's graph, sizes known from the data put in, with the targets as inputs and with the nodes of
                the loss and of the metrics
    loss:       the name of the value to make small, a scalar
    metrics:    metric -> the value that its node makes
    optimizer:  an op of the chapter "optimizer"
    schedule:   a learning-rate schedule, or None for a constant rate
    data:       the dataset, with all its options; None when the file names none
    feed:       input of `graph` -> field of the dataset, for those whose names differ
    clip:       {"norm": …} limits the joint norm of the gradients, {"value": …} each element
    regularise: {"l2": λ} adds λ·½Σθ² to the loss, {"l1": λ} adds λ·Σ|θ|, over all trainable parameters
    early_stopping: {"patience": epochs, "monitor": "loss" or a metric, "min_delta": …}
    places:     where `data`, `optimizer`, `clip` and `regularise` stand in the file, for those that do
    """

    graph: Graph
    loss: str
    metrics: Mapping[str, str]
    optimizer: Any
    schedule: Any = None
    data: Any = None
    feed: Mapping[str, str] = field(default_factory=dict)
    batch: int = 32
    epochs: int = 10
    seed: int = 0
    clip: Mapping[str, float] | None = None
    regularise: Mapping[str, float] | None = None
    early_stopping: Mapping[str, Any] | None = None
    objective: tuple[Declaration, ...] = ()
    weights: tuple[float, ...] = ()
    measures: tuple[tuple[str, Declaration], ...] = ()
    places: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A graph file, understood.

    graph:    as declared, every value typed; its outputs are those of the file
    train:    None when the file has no `train` section
    plugins:  what the file says it needs
    source:   the path, or `<dict>`, `<text>`
    vars:     the variables' values
    warnings: what is suspicious and yet no error
    nodes:    the nodes in full form, in the order of the file
    names:    what else values are called: a block's or a repetition's name, or one of its outputs' -> the value
    folder:   where the file lies, which relative paths of data start from; None for a graph made in Python
    """

    graph: Graph
    train: TrainSection | None = None
    plugins: tuple[str, ...] = ()
    source: str = "<dict>"
    vars: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    nodes: tuple[Declaration, ...] = ()
    folder: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)
