"""flatten: several axes as one, without a copy."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.flatten import Flatten
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

N = Symbolic.symbol("N")


def test_images_become_rows():
    x = TensorType(DType.float32, (N, 16, 5, 5))
    assert Flatten().infer(x) == TensorType(DType.float32, (N, 400))
    assert Flatten(-2).infer(x) == TensorType(DType.float32, (N, 16, 25))
    assert Flatten(4).infer(x) == TensorType(DType.float32, (N, 16, 5, 5, 1))


def test_symbols_multiply():
    h = Symbolic.symbol("H")
    assert str(Flatten().infer(TensorType(DType.float32, (N, 3, h, h)))) == "float32[N, 3*H*H]"


def test_last_axis_runs_fastest_and_nothing_is_copied():
    x = np.arange(24.0).reshape(2, 3, 4)
    y = Flatten().forward(x)
    assert y[1].tolist() == list(range(12, 24))
    assert np.shares_memory(x, y)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(Flatten(1), lambda x: torch.flatten(x, 1), x=numbers(2, 3, 4, 5))
    assert_as_torch(Flatten(0), torch.flatten, x=numbers(2, 3))


def test_axis_that_is_not_there():
    with pytest.raises(FlownetError, match=r"`flatten` works from axis 3 on, got float32\[2, 3\]"):
        Flatten(3).infer(TensorType(DType.float32, (2, 3)))
