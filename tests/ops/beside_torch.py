"""An op and PyTorch's, side by side in float64: outputs, and the gradients of a random projection of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flownet.op import Op
from flownet.testing.example import Example
from flownet.testing.reference import differentiated, forward

__all__ = ["assert_as_torch", "numbers"]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers, the same each time."""
    return np.random.default_rng(seed).standard_normal(shape)


def assert_as_torch(op: Op, function: Callable[..., Any], **inputs: np.ndarray) -> None:
    """Outputs and gradients agree to 1e-12 of the largest element, which leaves room for another order of sums."""
    torch = pytest.importorskip("torch")
    example = Example(op, inputs)
    tensors = {name: torch.tensor(a, requires_grad=a.dtype.kind == "f") for name, a in inputs.items()}
    y = function(*tensors.values())
    got = forward(op, inputs)[op.outputs[0]]
    assert got.shape == tuple(y.shape)
    np.testing.assert_allclose(got, y.detach().numpy(), rtol=1e-12, atol=1e-12 * _largest(got))
    gradients = differentiated(example)
    if gradients is None:
        return
    (y * torch.tensor(gradients.seeds[f"seed/{op.outputs[0]}"])).sum().backward()
    for name, gradient in gradients.run(inputs).items():
        expected = tensors[name].grad.numpy()
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12 * _largest(expected), err_msg=name)


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=1.0))
