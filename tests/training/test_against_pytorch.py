"""The loss over 100 steps follows PyTorch's, from the same weights with the same batches.

The two add numbers in different orders, so that float32 losses drift apart by rounding alone; 1e-4 relative is what the
issue asks for, and what holds with room to spare: about 1e-6 here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flownet
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph

torch = pytest.importorskip("torch")

STEPS, BATCH = 100, 16

MLP = {
    "inputs": {"image": "float32[N, 1, 12, 12]"},
    "nodes": [
        "flatten",
        {"dense": {"units": 64}},
        "relu",
        {"dense": {"units": 32}},
        "relu",
        {"dense": {"units": 10, "name": "logits"}},
    ],
}

LENET = {
    "inputs": {"image": "float32[N, 1, 28, 28]"},
    "nodes": [
        {"conv2d": {"channels": 6, "kernel": 5, "padding": "same"}},
        "tanh",
        {"avg_pool": {"kernel": 2}},
        {"conv2d": {"channels": 16, "kernel": 5}},
        "tanh",
        {"avg_pool": {"kernel": 2}},
        "flatten",
        {"dense": {"units": 120}},
        "tanh",
        {"dense": {"units": 84}},
        "tanh",
        {"dense": {"units": 10, "name": "logits"}},
    ],
}

OPTIMIZERS: dict[str, tuple[dict[str, Any], Any]] = {
    "sgd": (
        {"sgd": {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}},
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=5e-4),
    ),
    "nesterov": (
        {"sgd": {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True}},
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    ),
    "adam": ({"adam": {"learning_rate": 1e-3}}, lambda p: torch.optim.Adam(p, lr=1e-3)),
}


def torch_module(name: str) -> Any:
    nn = torch.nn
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def batches(side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ten classes of noisy prototypes: there is something to learn, and the loss stays well above rounding."""
    rng = np.random.default_rng(3)
    prototypes = rng.normal(size=(10, 1, side, side))
    found = []
    for _ in range(STEPS):
        label = rng.integers(0, 10, BATCH)
        image = prototypes[label] + 1.5 * rng.normal(size=(BATCH, 1, side, side))
        found.append((image.astype(np.float32), label.astype(np.int32)))
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_the_loss_follows_pytorch_s(name: str, optimizer: str) -> None:
    ours_settings, theirs_optimizer = OPTIMIZERS[optimizer]
    graph = {"mlp": MLP, "lenet": LENET}[name]
    inputs = {**graph["inputs"], "label": "int32[N]"}
    first = graph["nodes"][0]
    op, attributes = (first, {}) if isinstance(first, str) else next(iter(first.items()))
    nodes = [{op: {**attributes, "in": "image"}}, *graph["nodes"][1:]]
    train = {"loss": {"cross_entropy": {"in": ["logits", "label"]}}, "optimizer": ours_settings, "batch": BATCH}
    net = flownet.load({"inputs": inputs, "nodes": nodes, "train": train}, device="cpu", seed=7)
    torch.set_num_threads(1)  # its threads and ours would take the cores from each other
    theirs = torch_module(name)
    # both keep weights as [out, in] and [out, in, kernel, kernel], in the order of the layers
    with torch.no_grad():
        for parameter, array in zip(theirs.parameters(), net.weights.values(), strict=True):
            parameter.copy_(torch.from_numpy(array))
    step_graph = training_graph(net.document.train)
    optimiser = theirs_optimizer(theirs.parameters())
    ours_losses, theirs_losses = [], []
    rate = next(iter(ours_settings.values()))["learning_rate"]
    for step, (image, label) in enumerate(batches(12 if name == "mlp" else 28), 1):
        feeds = {"image": image, "label": label, LEARNING_RATE: np.float32(rate), STEP: np.float32(step)}
        ours_losses.append(float(net.session.run(step_graph, feeds)["loss"]))
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(image)), torch.from_numpy(label).long())
        loss.backward()
        optimiser.step()
        theirs_losses.append(loss.item())
    assert 1e-3 < np.mean(theirs_losses[-10:]) < 0.8 * theirs_losses[0]
    np.testing.assert_allclose(ours_losses, theirs_losses, rtol=1e-4)
