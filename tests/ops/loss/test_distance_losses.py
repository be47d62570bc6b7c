"""squared_error, l1, huber: literal values, beside PyTorch, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.loss.huber import Huber
from flownet.ops.loss.l1 import L1
from flownet.ops.loss.squared_error import SquaredError
from flownet.testing.reference import forward
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

REDUCTIONS = ["mean", "sum", "none"]


def both():
    return {"x": 2 * numbers(4, 3), "target": numbers(4, 3, seed=1)}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_half_of_pytorch_s_squared_error(reduction):
    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(
        SquaredError(reduction), lambda x, t: 0.5 * functional.mse_loss(x, t, reduction=reduction), **both()
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_l1_beside_torch(reduction):
    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(L1(reduction), lambda x, t: functional.l1_loss(x, t, reduction=reduction), **both())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_huber_beside_torch(reduction, delta):
    functional = pytest.importorskip("torch.nn.functional")
    op = Huber(reduction, delta)
    assert_as_torch(op, lambda x, t: functional.huber_loss(x, t, reduction=reduction, delta=delta), **both())


@pytest.mark.parametrize("op", [SquaredError(), L1(), Huber()])
def test_large_numbers(op):
    y = forward(op, {"x": np.array([1e4, -1e4], np.float32), "target": np.array([-1e4, 1e4], np.float32)})["y"]
    assert y == pytest.approx({"squared_error": 2e8, "l1": 2e4, "huber": 2e4 - 0.5}[op.name], rel=1e-6)


@pytest.mark.parametrize("op", [SquaredError(), L1(), Huber()])
def test_inputs_that_they_do_not_take(op):
    x = TensorType(DType.float32, (8, 1))
    with pytest.raises(FlownetError, match=r"takes x and target of one shape, got float32\[8, 1\] and float32\[8\]"):
        op.infer(x, TensorType(DType.float32, (8,)))
    with pytest.raises(FlownetError, match="takes floating-point numbers as `target`"):
        op.infer(x, TensorType(DType.int32, (8, 1)))


def test_attributes_out_of_range():
    with pytest.raises(FlownetError, match="`reduction` of `l1` must be `mean`, `sum` or `none`, got `average`"):
        L1("average").checked()
    with pytest.raises(FlownetError, match="`delta` of `huber` must be above 0, got 0"):
        Huber(delta=0.0).checked()
