"""broadcast_to: a tensor stretched to a shape."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.broadcast_to import BroadcastTo
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, N = DType.float32, Symbolic.symbol("N")


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 1), (4, 1, 1)])
def test_beside_torch(shape):
    torch = pytest.importorskip("torch")
    assert_as_torch(BroadcastTo((4, 2, 3)), lambda x: torch.broadcast_to(x, (4, 2, 3)), x=np.asarray(numbers(*shape)))


def test_symbols_are_bound():
    op = BroadcastTo((N, 3))
    assert op.infer(TensorType(FLOAT, (1, 3))).shape == (N, 3)
    assert op.bind({"N": 2}).forward(np.ones((1, 3))).shape == (2, 3)


@pytest.mark.parametrize("shape", [(2,), (4, 2, 3), (N, 3)])
def test_what_does_not_stretch(shape):
    with pytest.raises(FlownetError, match=r"`broadcast_to` takes what stretches to \[2, 3\], got float32"):
        BroadcastTo((2, 3)).infer(TensorType(FLOAT, shape))
