"""upsample: images enlarged by a whole factor."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.shape.upsample import Upsample
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("factor", [1, 2, 3, (1, 4), (5, 2)])
@pytest.mark.parametrize("size", [(3, 4), (1, 2), (1, 1)])
def test_beside_torch(mode, factor, size):
    functional = pytest.importorskip("torch.nn.functional")
    options = {"align_corners": False} if mode == "bilinear" else {}
    pair = (float(factor), float(factor)) if isinstance(factor, int) else tuple(map(float, factor))
    assert_as_torch(
        Upsample(factor, mode),
        lambda x: functional.interpolate(x, scale_factor=pair, mode=mode, **options),
        x=numbers(2, 3, *size),
    )


def test_nearest_against_a_loop():
    x = numbers(1, 2, 3, 4)
    y = Upsample((2, 3)).forward(x)
    for index in np.ndindex(1, 2, 6, 12):
        assert y[index] == x[index[0], index[1], index[2] // 2, index[3] // 3]


def test_bilinear_of_a_ramp_is_a_ramp_inside():
    x = np.arange(5.0).reshape(1, 1, 1, 5)
    y = Upsample((1, 4), "bilinear").forward(x)[0, 0, 0]
    np.testing.assert_allclose(np.diff(y[2:-2]), 0.25, rtol=1e-12)  # between the outermost centres
    assert y[:2].tolist() == [0, 0]


def test_symbols():
    n, h = Symbolic.symbol("N"), Symbolic.symbol("H")
    assert Upsample((2, 3)).infer(TensorType(DType.float32, (n, 3, h, 5))).shape == (n, 3, 2 * h, 15)


def test_what_is_no_image():
    with pytest.raises(FlownetError, match=r"`upsample` takes float32\[n, c, h, w\], got float32\[2, 10\]"):
        Upsample().infer(TensorType(DType.float32, (2, 10)))


def test_factor_below_one():
    with pytest.raises(FlownetError, match="`factor` of `upsample` must be at least 1"):
        Upsample((2, 0)).checked()
