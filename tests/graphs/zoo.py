"""The graph files, and the little that tests of them need."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from flownet.graph import Graph
from flownet.language import Document, load

GRAPHS = Path(__file__).parents[2] / "graphs"
NAMES = sorted(path.stem for path in GRAPHS.glob("*.yaml"))


@cache
def document(name: str, *overrides: str) -> Document:
    return load(GRAPHS / f"{name}.yaml", overrides=overrides)


def layers(graph: Graph) -> int:
    """Layers with weights as papers count them: convolutions and fully connected layers, projections left out."""
    return sum(node.op.name in ("conv2d", "conv_transpose2d", "dense") for node in graph.nodes.values())


def random_inputs(graph: Graph, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers of the inputs' types: standard normal ones; whole ones and targets `y` that are 0 or 1."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for value in graph.inputs:
        shape = tuple(dim if isinstance(dim, int) else batch for dim in value.type.shape)
        if value.type.dtype.is_float and value.name != "y":
            arrays[value.name] = rng.standard_normal(shape).astype(value.type.dtype.numpy)
        else:
            arrays[value.name] = rng.integers(0, 2, shape).astype(value.type.dtype.numpy)
    return arrays
