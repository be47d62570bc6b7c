"""conv2d: against a loop, beside PyTorch over many geometries, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.convolution import columns, depthwise
from flownet.ops.convolution.conv2d import Conv2d
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32
N, H, W = map(Symbolic.symbol, "NHW")


def looped(x, weight, bias, stride, padding, dilation, groups):
    """The definition, one product at a time."""
    n, _, h, w = x.shape
    k, per_group, kh, kw = weight.shape
    high = (h + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    wide = (w + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((n, k, high, wide))
    for image, filter_, i, j in np.ndindex(y.shape):
        first = filter_ // (k // groups) * per_group
        total = bias[filter_]
        for channel, r, s in np.ndindex(per_group, kh, kw):
            row, column = i * stride + r * dilation - padding, j * stride + s * dilation - padding
            if 0 <= row < h and 0 <= column < w:
                total += x[image, first + channel, row, column] * weight[filter_, channel, r, s]
        y[image, filter_, i, j] = total
    return y


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    [(3, 1, 1, 1, 1), (3, 2, 1, 1, 2), (2, 3, 2, 2, 1), (1, 2, 0, 1, 2), (3, 2, 1, 2, 4)],
)
def test_against_a_loop(kernel, stride, padding, dilation, groups):
    x, weight, bias = numbers(2, 4, 7, 6), numbers(8, 4 // groups, kernel, kernel, seed=1), numbers(8, seed=2)
    op = Conv2d(8, kernel, stride, padding, dilation, groups)
    expected = looped(x, weight, bias, stride, padding, dilation, groups)
    np.testing.assert_allclose(op.forward(x, weight, bias), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 2, (3, 1), 5])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (2, 1), ((0, 1), 2), (1, (1, 3))])
def test_beside_torch(groups, kernel, stride, padding, dilation):
    functional = pytest.importorskip("torch.nn.functional")
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    x, weight, bias = numbers(3, 4, 13, 11), numbers(8, 4 // groups, high, wide, seed=1), numbers(8, seed=2)
    op = Conv2d(8, kernel, stride, padding, dilation, groups)

    def torchs(x, weight, bias):
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)

    try:
        inferred = op.infer(TensorType(DType.float64, x.shape))
    except FlownetError:  # the filter is larger than the image: PyTorch must refuse it too
        torch = pytest.importorskip("torch")
        with pytest.raises(RuntimeError):
            torchs(torch.tensor(x), torch.tensor(weight), torch.tensor(bias))
        return
    assert_as_torch(op, torchs, x=x, weight=weight, bias=bias)
    symbolic = op.infer(TensorType(DType.float64, (N, 4, H, W))).bind({"N": 3, "H": 13, "W": 11})
    assert symbolic == inferred


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_same_beside_torch(kernel):
    functional = pytest.importorskip("torch.nn.functional")
    x, weight = numbers(2, 3, 6, 7), numbers(4, 3, kernel, kernel, seed=1)
    op = Conv2d(4, kernel, padding="same", bias=False)
    assert_as_torch(op, lambda x, w: functional.conv2d(x, w, padding="same"), x=x, weight=weight)


def test_same_with_a_stride_has_the_size_of_tensorflow():
    """⌈size / stride⌉; of the zeros that this takes the odd one stands behind."""
    x = np.arange(1.0, 7.0).reshape(1, 1, 1, 6)
    y = Conv2d(1, (1, 3), stride=(1, 2), padding="same", bias=False).forward(x, np.array([[[[100.0, 10.0, 1.0]]]]))
    np.testing.assert_array_equal(y, [[[[123.0, 345.0, 560.0]]]])
    op = Conv2d(1, 3, stride=2, padding="same")
    assert str(op.infer(TensorType(FLOAT, (N, 1, 7, H)))) == "float32[N, 1, 4, ((H + 1) // 2)]"


@pytest.mark.parametrize("block", [1, 1 << 10, 1 << 13])
@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (6, 6)])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_of_any_size_give_the_same(monkeypatch, block, channels, groups, stride):
    """Blocks of many images, of some, and of a few rows of one."""
    x, weight, bias = numbers(5, 6, 9, 8), numbers(channels, 6 // groups, 3, 3, seed=1), numbers(channels, seed=2)
    op = Conv2d(channels, 3, stride, 1, groups=groups)
    whole = op.forward(x, weight, bias)
    dy = numbers(*whole.shape, seed=3)
    gradients = op.backward_x(x, weight, dy), op.backward_weight(x, dy)
    for module in (columns, depthwise):
        monkeypatch.setattr(module, "BLOCK_BYTES", block)
    np.testing.assert_allclose(op.forward(x, weight, bias), whole, rtol=1e-12, atol=1e-12)
    for got, expected in zip((op.backward_x(x, weight, dy), op.backward_weight(x, dy)), gradients, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_pixels_that_no_tap_sees_have_no_gradient():
    x, weight = numbers(1, 1, 4, 5), numbers(1, 1, 1, 1, seed=1)
    dx = Conv2d(1, 1, stride=3).backward_x(x, weight, np.ones((1, 1, 2, 2)))
    expected = np.zeros((1, 1, 4, 5))
    expected[0, 0, ::3, ::3] = weight[0, 0, 0, 0]
    np.testing.assert_array_equal(dx, expected)


def test_parameters():
    declared = Conv2d(16, 5, groups=2).parameters(TensorType(FLOAT, (N, 6, H, W)))
    assert {name: str(initial.type) for name, initial in declared.items()} == {
        "weight": "float32[16, 3, 5, 5]",
        "bias": "float32[16]",
    }
    assert (declared["weight"].fan_in, declared["weight"].fan_out) == (75, 200)
    assert list(Conv2d(16, 5, bias=False).parameters(TensorType(FLOAT, (N, 6, 9, 9)))) == ["weight"]


def test_multiply_adds_of_resnet50_s_first_layer():
    """112·112·64·3·7·7 = 118,013,952, as He et al.'s table 1 counts."""
    x = TensorType(FLOAT, (1, 3, 224, 224))
    op = Conv2d(64, 7, 2, 3, bias=False)
    y = op.infer(x)
    weight = op.parameters(x)["weight"].type
    assert op.cost({"x": x, "weight": weight}, [y]) == (2 * 118013952, 118013952)


@pytest.mark.parametrize(
    ("op", "x", "message"),
    [
        (Conv2d(4, 3), TensorType(FLOAT, (N, 784)), r"`conv2d` takes float32\[n, c, h, w\], got float32\[N, 784\]"),
        (Conv2d(4, 3), TensorType(DType.uint8, (N, 1, 9, 9)), "takes floating-point numbers as `x`, got uint8"),
        (Conv2d(4, 5), TensorType(FLOAT, (N, 1, 4, 9)), r"`conv2d` does not fit on float32\[N, 1, 4, 9\]"),
        (Conv2d(4, 3, groups=2), TensorType(FLOAT, (N, 3, 9, 9)), "channels that `groups` divides, which is 2"),
        (Conv2d(4, 3), TensorType(FLOAT, (N, W, 9, 9)), "with a number for c"),
    ],
)
def test_inputs_that_it_does_not_take(op, x, message):
    with pytest.raises(FlownetError, match=message):
        op.infer(x)


def test_a_filter_that_is_too_large_says_by_how_much():
    with pytest.raises(FlownetError) as error:
        Conv2d(4, 5, padding=1, dilation=2).infer(TensorType(FLOAT, (N, 1, 6, 20)))
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "shape-mismatch"
    assert diagnostic.notes == ("the window reaches over 9 of its height, which has 8 with its padding",)
    assert diagnostic.help == "take a smaller kernel, or more padding"


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Conv2d(0, 3), "`channels` of `conv2d` must be at least 1, got 0"),
        (Conv2d(4, (3, 0)), r"`kernel` of `conv2d` must be at least 1, got \[3, 0\]"),
        (Conv2d(4, 3, padding=-1), "`padding` of `conv2d` must be at least 0, got -1"),
        (Conv2d(4, 3, padding="full"), "`padding` of `conv2d` must be a number, a pair, `same` or `valid`, got `full`"),
        (Conv2d(4, 3, groups=3), "`groups` of `conv2d` must be a divisor of `channels`, which is 4, got 3"),
    ],
)
def test_attributes_out_of_range(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()
