"""max_unpool: the inverse of max_pool at the maxima, beside PyTorch, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.pooling.max_pool import MaxPool
from flownet.ops.pooling.max_unpool import MaxUnpool
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT, INT = DType.float32, DType.int32
N, H = Symbolic.symbol("N"), Symbolic.symbol("H")


def test_it_puts_back_what_was_taken():
    x = numbers(2, 3, 6, 8)
    y, indices = MaxPool(2).forward(x)
    back = MaxUnpool(2).forward(y, indices)
    assert back.shape == x.shape
    for n, c in np.ndindex(2, 3):
        for place in range(48):
            expected = x[n, c].flat[place] if place in indices[n, c] else 0.0
            assert back[n, c].flat[place] == expected


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"), [(2, None, 0, (6, 8)), (2, 3, 0, (8, 5)), (3, 3, 1, (7, 7))]
)
def test_beside_torch(kernel, stride, padding, size):
    functional = pytest.importorskip("torch.nn.functional")
    y, indices = MaxPool(kernel, stride, padding).forward(numbers(2, 3, *size))

    def torchs(x, indices):
        return functional.max_unpool2d(x, indices.long(), kernel, stride, padding)

    assert_as_torch(MaxUnpool(kernel, stride, padding), torchs, x=y, indices=indices)


def test_the_size_of_another_image():
    y, indices = MaxPool(2).forward(numbers(1, 1, 5, 7))
    like = numbers(1, 4, 5, 7)
    assert MaxUnpool(2).forward(y, indices, like).shape == (1, 1, 5, 7)
    np.testing.assert_array_equal(MaxUnpool(2, size=(5, 7)).forward(y, indices), MaxUnpool(2).forward(y, indices, like))


def test_sizes():
    x, indices = TensorType(FLOAT, (N, 4, H, 5)), TensorType(INT, (N, 4, H, 5))
    assert str(MaxUnpool(2).infer(x, indices)) == "float32[N, 4, 2*H, 10]"
    assert str(MaxUnpool(3, 2, 1).infer(x, indices)) == "float32[N, 4, 2*H - 1, 9]"
    assert str(MaxUnpool(2, size=(H, 11)).infer(x, indices)) == "float32[N, 4, H, 11]"
    assert MaxUnpool(2, size=(H, 11)).bind({"H": 9}) == MaxUnpool(2, size=(9, 11))


def test_places_that_the_output_has_not():
    y, indices = MaxPool(2).forward(numbers(1, 1, 5, 5))
    indices[0, 0, 1, 1] = 16
    with pytest.raises(FlownetError, match="`max_unpool` makes images of 4×4 pixels, got the place 16") as error:
        MaxUnpool(2).forward(y, indices)
    assert error.value.diagnostics[0].code == "index-out-of-range"


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (TensorType(FLOAT, (N, 4, 6, 5)), "takes whole numbers as `indices`, got float32"),
        (TensorType(INT, (N, 4, 6, 6)), "takes x and indices of one shape"),
    ],
)
def test_inputs_that_it_does_not_take(indices, message):
    with pytest.raises(FlownetError, match=message):
        MaxUnpool().infer(TensorType(FLOAT, (N, 4, 6, 5)), indices)
