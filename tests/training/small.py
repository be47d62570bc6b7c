"""A small network and its training, made in Python, for tests of everything around it."""

from __future__ import annotations

from typing import Any

import flownet

__all__ = ["graph_of", "network"]


def graph_of(**train: Any) -> dict[str, Any]:
    """A net with dropout on the embedded iris flowers; `train` changes its train section."""
    return {
        "inputs": {"x": "float32[N, 4]"},
        "nodes": [
            {"dense": {"units": 16}},
            "tanh",
            {"dropout": {"rate": 0.2}},
            {"dense": {"units": 3, "name": "logits"}},
            {"softmax": {"name": "probabilities"}},
        ],
        "outputs": ["probabilities"],
        "train": {
            "data": {"dataset": "iris", "standardise": "per_channel", "validation": 24},
            "loss": {"cross_entropy": {"in": ["logits", "label"]}},
            "optimizer": {"sgd": {"learning_rate": 0.1, "momentum": 0.9}},
            "metrics": ["accuracy"],
            "batch": 8,
            "epochs": 3,
            **train,
        },
    }


def network(device: str = "cpu", seed: int | None = None, **train: Any) -> flownet.Network:
    """The network of `graph_of` on a device."""
    return flownet.load(graph_of(**train), device=device, seed=seed)
