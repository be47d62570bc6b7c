"""global_avg_pool: beside NumPy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.pooling.global_avg_pool import GlobalAvgPool
from flownet.testing.reference import forward
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


def test_each_channel():
    x = numbers(2, 3, 4, 5)
    y = forward(GlobalAvgPool(), {"x": x})["y"]
    for n, c in np.ndindex(2, 3):
        assert y[n, c] == pytest.approx(sum(x[n, c, i, j] for i in range(4) for j in range(5)) / 20, rel=1e-12)


@pytest.mark.parametrize("keepdims", [False, True])
def test_beside_torch(keepdims):
    pytest.importorskip("torch")
    assert_as_torch(GlobalAvgPool(keepdims), lambda x: x.mean((2, 3), keepdim=keepdims), x=numbers(2, 3, 4, 5))


def test_inputs_that_it_does_not_take():
    with pytest.raises(FlownetError, match=r"`global_avg_pool` takes float32\[n, c, h, w\]"):
        GlobalAvgPool().infer(TensorType(DType.float32, (2, 10)))
