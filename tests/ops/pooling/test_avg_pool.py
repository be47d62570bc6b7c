"""avg_pool: against a loop, beside PyTorch, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.pooling.avg_pool import AvgPool
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

N = Symbolic.symbol("N")


def test_against_a_loop():
    x = numbers(2, 3, 7, 6)
    y = AvgPool(3, 2).forward(x)
    for n, c, i, j in np.ndindex(2, 3, 3, 2):
        assert y[n, c, i, j] == pytest.approx(x[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].mean(), rel=1e-12)


@pytest.mark.parametrize("kernel", [2, 3, (2, 3)])
@pytest.mark.parametrize("stride", [None, 1, 2, (3, 1)])
@pytest.mark.parametrize("padding", [0, (0, 1), 1])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("include", [False, True])
def test_beside_torch(kernel, stride, padding, ceil_mode, include):
    functional = pytest.importorskip("torch.nn.functional")
    op = AvgPool(kernel, stride, padding, include, ceil_mode)
    op.checked()
    for size in ((5, 7), (8, 4)):
        x = numbers(2, 3, *size)
        assert_as_torch(op, lambda x: functional.avg_pool2d(x, kernel, stride, padding, ceil_mode, include), x=x)


def test_same_counts_only_what_it_sees_if_told():
    x = np.arange(1.0, 6.0).reshape(1, 1, 1, 5)
    y = AvgPool((1, 2), padding="same", count_include_pad=False).forward(x)
    np.testing.assert_array_equal(y, [[[[1.5, 3.5, 5.0]]]])


def test_attributes_out_of_range():
    with pytest.raises(FlownetError, match="`kernel` of `avg_pool` must be at least 1"):
        AvgPool(-1).checked()
    with pytest.raises(FlownetError, match="`padding` of `avg_pool` must be smaller than `kernel`"):
        AvgPool((2, 1), padding=1).checked()


def test_inputs_that_it_does_not_take():
    with pytest.raises(FlownetError, match=r"`avg_pool` takes float32\[n, c, h, w\], got float32\[N, 10\]"):
        AvgPool().infer(TensorType(DType.float32, (N, 10)))
