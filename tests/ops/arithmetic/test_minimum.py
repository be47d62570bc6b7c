"""minimum: two inputs that broadcast."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.arithmetic.minimum import Minimum
from flownet.types import DType, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


def test_against_a_loop():
    a, b = numbers(2, 1, 3), numbers(4, 1, seed=1)
    y = Minimum().forward(a, b)
    assert y.shape == (2, 4, 3)
    for i, j, k in np.ndindex(y.shape):
        assert y[i, j, k] == min(a[i, 0, k], b[j, 0])


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((), (2, 2))])
def test_beside_torch(shapes):
    torch = pytest.importorskip("torch")
    a, b = (numbers(*shape, seed=seed) for seed, shape in enumerate(shapes))
    assert_as_torch(Minimum(), torch.minimum, a=a, b=b)


def test_shapes_that_do_not_meet():
    float32 = DType.float32
    with pytest.raises(FlownetError, match=r"`minimum` cannot combine the shapes \[2, 3\] and \[2\]"):
        Minimum().result_types({"a": TensorType(float32, (2, 3)), "b": TensorType(float32, (2,))})
