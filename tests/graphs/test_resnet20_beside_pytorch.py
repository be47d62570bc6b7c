"""ResNet-20 beside the same net written in PyTorch: one set of weights, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

import flownet
from flownet.devices.choose import choose_device
from flownet.executor import Session
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph
from tests.graphs.zoo import GRAPHS, document

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut of option A (He et al. 2015, section 3.3)."""

    def __init__(self, before, after):
        super().__init__()
        self.stride = 1 if before == after else 2
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, self.stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.new = after - before

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        skip = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return torch.relu(y + skip)


def torch_resnet20():
    stages = [
        Block(before if i == 0 else after, after) for before, after in ((16, 16), (16, 32), (32, 64)) for i in range(3)
    ]
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


@pytest.fixture
def net():
    return flownet.load(GRAPHS / "resnet20.yaml", device="cpu", seed=3)


def torch_state(graph, weights):
    """flownet's arrays under PyTorch's names. Both list parameters and statistics in the order of the layers."""
    module = torch_resnet20()
    statistics = [n for n in module.state_dict() if "running" in n]
    ours = [v.name for v in graph.parameters], [v.name for v in graph.states if v.name != "rng"]
    theirs = [name for name, _ in module.named_parameters()], statistics
    state = {}
    for own, other in zip(ours, theirs, strict=True):
        for a, b in zip(own, other, strict=True):
            array = torch.tensor(weights[a])
            state[b] = array if array.shape == module.state_dict()[b].shape else array.T
    module.load_state_dict(state, strict=False)
    return module


def test_inference_from_the_same_weights(net):
    rng = np.random.default_rng(0)
    weights = net.weights
    for array in weights.values():
        if array.ndim == 1:  # running statistics that are not 0 and 1, and scales that are not 1
            array += 0.2 * rng.random(array.shape, np.float32)
    net.bind(weights)
    x = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    module = torch_state(net.graph, weights).eval()
    with torch.no_grad():
        expected = torch.softmax(module(torch.tensor(x)), 1).numpy()
    # 20 layers of float32 sums of up to 576 terms in another order
    np.testing.assert_allclose(net.run(image=x)["probabilities"], expected, rtol=1e-3, atol=1e-6)


def test_a_training_step_from_the_same_weights(net):
    rng = np.random.default_rng(1)
    x, label = rng.standard_normal((8, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, 8)
    module = torch_state(net.graph, net.weights).train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    loss = nn.functional.cross_entropy(module(torch.tensor(x)), torch.tensor(label))
    loss.backward()
    optimizer.step()

    graph = training_graph(document("resnet20").train)
    session = Session(choose_device("cpu"), seed=3)
    session.initialise(graph)
    result = session.run(
        graph, {"image": x, "label": label.astype(np.int32), LEARNING_RATE: np.float32(0.1), STEP: np.float32(1)}
    )
    assert float(result["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    updated = torch_state(net.graph, {**net.weights, **session.read()})
    for (name, expected), (_, found) in zip(module.named_parameters(), updated.named_parameters(), strict=True):
        # a gradient is a sum over up to 8,192 pixels; relative to the largest weight of its tensor
        scale = expected.abs().max().item()
        np.testing.assert_allclose(
            found.detach().numpy() / scale, expected.detach().numpy() / scale, atol=2e-4, err_msg=name
        )
    for (name, expected), (_, found) in zip(module.named_buffers(), updated.named_buffers(), strict=True):
        if "running" in name:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)
