"""pad: a border around a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.pad import Pad
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

FLOAT = DType.float32


@pytest.mark.parametrize(
    ("mode", "torch_mode"), [("constant", "constant"), ("edge", "replicate"), ("reflect", "reflect")]
)
@pytest.mark.parametrize("pads", [((1, 1), (2, 2)), ((0, 2), (3, 1)), ((0, 0), (0, 3))])
def test_beside_torch(mode, torch_mode, pads):
    functional = pytest.importorskip("torch.nn.functional")
    flat = [size for pair in reversed(pads) for size in pair]  # PyTorch counts from the last axis
    assert_as_torch(Pad(pads, mode), lambda x: functional.pad(x, flat, mode=torch_mode), x=numbers(2, 3, 4, 5))


def test_value():
    y = Pad(((1, 2),), value=-7.5).forward(np.zeros(2))
    assert y.tolist() == [-7.5, 0, 0, -7.5, -7.5]
    minus_infinity = Pad(((1, 0),), value=-np.inf).forward(np.zeros(1, np.float32))
    assert minus_infinity.tolist() == [-np.inf, 0]
    assert minus_infinity.dtype == np.float32


def test_reflect_against_a_loop():
    x = numbers(5)
    y = Pad(((4, 4),), "reflect").forward(x)
    for i in range(13):
        assert y[i] == x[4 - abs(4 - abs(i - 4))]


def test_reflected_more_than_once_still_has_the_right_gradient():
    # an element that the border took twice gets both gradients
    dx = Pad(((2, 2),), "reflect").backward(np.arange(1.0, 8.0))
    assert dx.tolist() == [3 + 7, 2 + 4 + 6, 1 + 5]


def test_symbols():
    n = Symbolic.symbol("N")
    assert Pad(((1, 1), (2, 2))).infer(TensorType(FLOAT, (n, 3, n, 5))).shape == (n, 3, n + 2, 9)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Pad(((-1, 0),)), "`pads` of `pad` must be at least 0"),
        (Pad(((1, 0),), "mirror"), "`mode` of `pad` must be `constant`, `edge` or `reflect`, got `mirror`"),  # type: ignore[arg-type]
        (Pad(((1, 0),), value=np.nan), "`value` of `pad` must be a number"),
    ],
)
def test_attributes_that_make_no_sense(op, message):
    with pytest.raises(FlownetError, match=message):
        op.checked()


def test_what_is_too_small():
    with pytest.raises(FlownetError, match="`pad` takes axes of at least 4 for `mode: reflect`"):
        Pad(((3, 0),), "reflect").infer(TensorType(FLOAT, (2, 3)))
    with pytest.raises(FlownetError, match="`pad` takes at least 3 axes"):
        Pad(((1, 1),) * 3).infer(TensorType(FLOAT, (2, 3)))
