"""conv_transpose2d: against a loop, beside PyTorch, as the transpose of conv2d, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.convolution.conv2d import Conv2d
from flownet.ops.convolution.conv_transpose2d import ConvTranspose2d
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
N, H = Symbolic.symbol("N"), Symbolic.symbol("H")


@pytest.mark.parametrize(("stride", "padding", "more"), [(1, 0, 0), (2, 1, 1), (3, 0, 2)])
def test_against_a_loop(stride, padding, more):
    """Each pixel puts its filter onto the output."""
    x, weight, bias = numbers(2, 3, 4, 3), numbers(3, 2, 3, 3, seed=1), numbers(2, seed=2)
    high, wide = ((size - 1) * stride - 2 * padding + 3 + more for size in (4, 3))
    expected = np.zeros((2, 2, high, wide)) + bias[:, None, None]
    for n, c, i, j in np.ndindex(x.shape):
        for k, r, s in np.ndindex(2, 3, 3):
            row, column = i * stride + r - padding, j * stride + s - padding
            if 0 <= row < high and 0 <= column < wide:
                expected[n, k, row, column] += x[n, c, i, j] * weight[c, k, r, s]
    op = ConvTranspose2d(2, 3, stride, padding, more)
    np.testing.assert_allclose(op.forward(x, weight, bias), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 2, (3, 1)])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
@pytest.mark.parametrize(("padding", "more", "dilation"), [(0, 0, 1), (1, (1, 0), 2), ((0, 1), 1, 2)])
def test_beside_torch(groups, kernel, stride, padding, more, dilation):
    functional = pytest.importorskip("torch.nn.functional")
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    x, weight, bias = numbers(3, 8, 5, 6), numbers(8, 4 // groups, high, wide, seed=1), numbers(4, seed=2)
    op = ConvTranspose2d(4, kernel, stride, padding, more, groups, dilation)
    op.checked()

    def torchs(x, weight, bias):
        return functional.conv_transpose2d(x, weight, bias, stride, padding, more, groups, dilation)

    assert_as_torch(op, torchs, x=x, weight=weight, bias=bias)


def test_it_is_the_gradient_of_a_convolution():
    weight, dy = numbers(4, 3, 3, 3), numbers(2, 4, 5, 5, seed=1)
    dx = Conv2d(4, 3, 2, 1).backward_x(np.zeros((2, 3, 10, 9)), weight, dy)
    y = ConvTranspose2d(3, 3, 2, 1, (1, 0), bias=False).forward(dy, weight)
    np.testing.assert_allclose(y, dx, rtol=1e-13, atol=1e-13)


def test_sizes_that_are_symbols():
    op = ConvTranspose2d(8, 4, stride=2, padding=1)
    assert str(op.infer(TensorType(FLOAT, (N, 3, H, 7)))) == "float32[N, 8, 2*H, 14]"


def test_parameters():
    declared = ConvTranspose2d(8, 4, stride=2, groups=2).parameters(TensorType(FLOAT, (N, 6, H, H)))
    assert str(declared["weight"].type) == "float32[6, 4, 4, 4]"
    # an output pixel is reached by 2·2 of the 4·4 taps, from 3 channels; a pixel reaches 4·4 taps of 4 channels
    assert (declared["weight"].fan_in, declared["weight"].fan_out) == (12, 64)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (
            ConvTranspose2d(4, 3, output_padding=1),
            "`output_padding` of `conv_transpose2d` must be smaller than `stride`",
        ),
        (ConvTranspose2d(4, 3, groups=3), "must be a divisor of `channels`, which is 4, got 3"),
        (ConvTranspose2d(4, 3, padding=-1), "`padding` of `conv_transpose2d` must be at least 0, got -1"),
    ],
)
def test_attributes_out_of_range(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()


@pytest.mark.parametrize(
    ("op", "x", "message"),
    [
        (ConvTranspose2d(4, 3), TensorType(FLOAT, (N, 64)), r"takes float32\[n, c, h, w\], got float32\[N, 64\]"),
        (ConvTranspose2d(4, 1, padding=2), TensorType(FLOAT, (N, 1, 4, 4)), "leaves nothing of"),
        (ConvTranspose2d(4, 3, groups=2), TensorType(FLOAT, (N, 3, 4, 4)), "channels that `groups` divides"),
    ],
)
def test_inputs_that_it_does_not_take(op, x, message):
    with pytest.raises(FlownetError, match=message):
        op.infer(x)
