"""max_pool: against a loop, beside PyTorch with its switches, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.pooling.max_pool import MaxPool
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
N, H, W = map(Symbolic.symbol, "NHW")


def test_against_a_loop():
    x = numbers(2, 3, 7, 6)
    y, indices = MaxPool(3, 2).forward(x)
    for n, c, i, j in np.ndindex(2, 3, 3, 2):
        window = x[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        row, column = np.unravel_index(window.argmax(), window.shape)
        assert y[n, c, i, j] == window.max()
        assert indices[n, c, i, j] == (2 * i + row) * 6 + 2 * j + column


@pytest.mark.parametrize("kernel", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("stride", [None, 1, 2, (3, 1)])
@pytest.mark.parametrize("padding", [0, (0, 1), 1])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("size", [(5, 7), (8, 4)])
def test_beside_torch(kernel, stride, padding, ceil_mode, size):
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    x = numbers(2, 3, *size)
    op = MaxPool(kernel, stride, padding, ceil_mode)
    try:
        op.checked()
    except FlownetError:  # padding that fills whole windows
        with pytest.raises(RuntimeError):
            functional.max_pool2d(torch.tensor(x), kernel, stride, padding)
        return
    if padding != 0 and kernel == 1:
        return  # PyTorch allows half of the kernel
    assert_as_torch(op, lambda x: functional.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode), x=x)
    expected = functional.max_pool2d(torch.tensor(x), kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    np.testing.assert_array_equal(op.forward(x)[1], expected[1].numpy())
    symbolic = op.infer(TensorType(FLOAT, (N, 3, H, W)))[0].bind({"N": 2, "H": size[0], "W": size[1]})
    assert symbolic.shape == tuple(expected[0].shape)


def test_of_equals_the_first_one_counts():
    y, indices = MaxPool(2).forward(np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(indices, [[[[0]]]])
    dx = MaxPool(2).backward(np.ones((1, 1, 2, 2)), indices, np.full_like(y, 5.0))
    np.testing.assert_array_equal(dx, [[[[5.0, 0.0], [0.0, 0.0]]]])


@pytest.mark.parametrize("place", range(4))
def test_nan_comes_through(place):
    x = np.arange(4.0)
    x[place] = np.nan
    assert np.isnan(MaxPool(2).forward(x.reshape(1, 1, 2, 2))[0]).all()


def test_places_are_in_the_image_even_where_all_is_minus_infinity():
    _, indices = MaxPool(3, 1, padding=1).forward(np.full((1, 1, 2, 2), -np.inf))
    assert indices.min() >= 0
    assert indices.max() <= 3


def test_same():
    op = MaxPool(3, 2, padding="same")
    assert str(op.infer(TensorType(FLOAT, (N, 4, 7, H)))[0]) == "float32[N, 4, 4, ((H + 1) // 2)]"
    y, _ = op.forward(np.arange(1.0, 7.0).reshape(1, 1, 1, 6))
    np.testing.assert_array_equal(y, [[[[3.0, 5.0, 6.0]]]])


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (MaxPool(0), "`kernel` of `max_pool` must be at least 1, got 0"),
        (MaxPool(2, 0), "`stride` of `max_pool` must be at least 1, got 0"),
        (MaxPool(2, padding=2), "`padding` of `max_pool` must be smaller than `kernel`, got 2 and 2"),
    ],
)
def test_attributes_out_of_range(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()


def test_inputs_that_it_does_not_take():
    with pytest.raises(FlownetError, match=r"`max_pool` takes float32\[n, c, h, w\], got float32\[N, 10\]"):
        MaxPool().infer(TensorType(FLOAT, (N, 10)))
    with pytest.raises(FlownetError, match="`max_pool` does not fit on"):
        MaxPool(3).infer(TensorType(FLOAT, (N, 1, 2, 9)))
