"""Every op against the harness on every device, and against a plain loop or PyTorch: what the harness cannot know is what is meant."""

from __future__ import annotations

import math
from collections.abc import Iterator

import flownet_ops_extra as extra
import numpy as np
import pytest

import flownet
from flownet.testing import assert_op, devices_here

OPS = {op.name: op for op in extra.flownet_ops()}


@pytest.mark.parametrize("device", devices_here())
@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_contract(op: type, device: str) -> None:
    assert_op(op, device)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6, 5, 7)) * 2


def pixels(x: np.ndarray) -> Iterator[tuple[int, ...]]:
    return np.ndindex(x.shape)  # type: ignore[return-value]


def test_maxout(x: np.ndarray) -> None:
    y = extra.Maxout(3).forward(x)
    assert y.shape == (2, 2, 5, 7)
    for n, c, i, j in pixels(y):
        assert y[n, c, i, j] == max(x[n, 3 * c + k, i, j] for k in range(3))


def test_local_response_norm(x: np.ndarray) -> None:
    y = extra.LocalResponseNorm(size=3, alpha=0.3, beta=0.6, k=1.5).forward(x)
    for n, c, i, j in pixels(y):
        energy = sum(x[n, d, i, j] ** 2 for d in (c - 1, c, c + 1) if 0 <= d < 6)
        assert math.isclose(y[n, c, i, j], x[n, c, i, j] / (1.5 + 0.3 / 3 * energy) ** 0.6, rel_tol=1e-12)


def test_spatial_pyramid_pool(x: np.ndarray) -> None:
    y = extra.SpatialPyramidPool((1, 3)).forward(x)
    assert y.shape == (2, 6 * (1 + 9))
    for n in range(2):
        expected = [x[n, c].max() for c in range(6)]
        for c in range(6):
            for i in range(3):
                for j in range(3):
                    rows = range(math.floor(i * 5 / 3), math.ceil((i + 1) * 5 / 3))
                    columns = range(math.floor(j * 7 / 3), math.ceil((j + 1) * 7 / 3))
                    expected.append(max(x[n, c, r, s] for r in rows for s in columns))
        assert y[n].tolist() == expected


def test_spatial_pyramid_pool_gives_as_many_numbers_for_any_size() -> None:
    op = extra.SpatialPyramidPool()
    sizes = {op.forward(np.zeros((1, 3, h, w))).shape for h, w in ((1, 1), (4, 9), (13, 13))}
    assert sizes == {(1, 63)}


def test_mish(x: np.ndarray) -> None:
    y = extra.Mish().forward(x)
    for at in pixels(x):
        assert math.isclose(y[at], x[at] * math.tanh(math.log1p(math.exp(x[at]))), rel_tol=1e-12)


def test_focal_loss(x: np.ndarray) -> None:
    target = (x > 0.3).astype(float)
    loss = flownet_run(extra.FocalLoss(gamma=1.5, alpha=0.3), x, target)
    total = 0.0
    for at in pixels(x):
        p = 1 / (1 + math.exp(-x[at]))
        p, a = (p, 0.3) if target[at] else (1 - p, 0.7)
        total += -a * (1 - p) ** 1.5 * math.log(p)
    assert math.isclose(loss, total / x.size, rel_tol=1e-9)


def test_focal_loss_without_focus_is_half_the_cross_entropy(x: np.ndarray) -> None:
    target = (x > 0).astype(float)
    p = 1 / (1 + np.exp(-x))
    expected = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)) / 2
    assert math.isclose(flownet_run(extra.FocalLoss(gamma=0, alpha=0.5), x, target), expected, rel_tol=1e-9)


def test_dice_loss(x: np.ndarray) -> None:
    p, target = 1 / (1 + np.exp(-x)), (x > 1).astype(float)
    losses = []
    for n in range(2):
        above = below = 1.0
        for at in np.ndindex(x.shape[1:]):
            above += 2 * p[n][at] * target[n][at]
            below += p[n][at] ** 2 + target[n][at] ** 2
        losses.append(1 - above / below)
    assert math.isclose(float(extra.DiceLoss().forward(p, target)), sum(losses) / 2, rel_tol=1e-12)


def test_squash(x: np.ndarray) -> None:
    y = extra.Squash(axis=1).forward(x)
    for n, _, i, j in pixels(x[:, :1]):
        before = math.sqrt(sum(x[n, c, i, j] ** 2 for c in range(6)))
        after = math.sqrt(sum(y[n, c, i, j] ** 2 for c in range(6)))
        assert math.isclose(after, before**2 / (1 + before**2), rel_tol=1e-6)
        assert all(x[n, c, i, j] * y[n, c, i, j] >= 0 for c in range(6))


def flownet_run(op: flownet.Op, *arrays: np.ndarray) -> float:
    """The value of an op that is built of others."""
    from flownet.testing.reference import run_op

    return float(run_op(op, dict(zip(op.signature_inputs, arrays, strict=True)))["y"])


class TestBesidePyTorch:
    """Forward and gradient beside PyTorch's own."""

    def gradients(self, op: flownet.Op, theirs, *arrays: np.ndarray) -> None:
        torch = pytest.importorskip("torch")
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        expected = theirs(torch, *tensors)
        dy = np.random.default_rng(1).normal(size=tuple(expected.shape))
        expected.backward(torch.tensor(dy))
        y = op.forward(*arrays)
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10)
        available = {"x": arrays[0], "y": y, "dy": dy}
        if hasattr(op, "backward"):
            from flownet.op.contract import wanted

            dx = op.backward(*wanted(op.backward, available))
            np.testing.assert_allclose(dx, tensors[0].grad.numpy(), rtol=1e-8, atol=1e-12)

    def test_mish(self, x: np.ndarray) -> None:
        self.gradients(extra.Mish(), lambda torch, x: torch.nn.functional.mish(x), x)

    def test_local_response_norm(self, x: np.ndarray) -> None:
        op = extra.LocalResponseNorm(size=5, alpha=0.2, beta=0.75, k=2.0)
        self.gradients(
            op, lambda torch, x: torch.nn.functional.local_response_norm(x, 5, alpha=0.2, beta=0.75, k=2.0), x
        )

    def test_maxout(self, x: np.ndarray) -> None:
        self.gradients(extra.Maxout(2), lambda torch, x: x.reshape(2, 3, 2, 5, 7).max(dim=2).values, x)

    def test_spatial_pyramid_pool(self, x: np.ndarray) -> None:
        def theirs(torch, x):
            pools = [torch.nn.functional.adaptive_max_pool2d(x, level).flatten(1) for level in (1, 2, 4)]
            return torch.cat(pools, dim=1)

        self.gradients(extra.SpatialPyramidPool(), theirs, x)

    def test_squeeze_excitation(self) -> None:
        torch = pytest.importorskip("torch")
        from flownet.testing.reference import run_op

        r = np.random.default_rng(2)
        x, w1, b1, w2, b2 = (r.normal(size=s) for s in ((2, 8, 3, 3), (2, 8), (2,), (8, 2), (8,)))
        ours = run_op(extra.SqueezeExcitation(4), {"x": x, "weight1": w1, "bias1": b1, "weight2": w2, "bias2": b2})["y"]
        t = {name: torch.tensor(a) for name, a in {"x": x, "w1": w1, "b1": b1, "w2": w2, "b2": b2}.items()}
        inner = torch.relu(t["x"].mean((2, 3)) @ t["w1"].T + t["b1"])
        gate = torch.sigmoid(inner @ t["w2"].T + t["b2"])
        np.testing.assert_allclose(ours, (t["x"] * gate[:, :, None, None]).numpy(), rtol=1e-10)
