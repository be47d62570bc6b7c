"""clip: Clip at every element."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.arithmetic.clip import Clip
from tests.ops.beside_torch import assert_as_torch

X = np.array([-3.0, -1.0, 0.5, 2.0, 7.0, 1.5])


def test_against_the_formula():
    np.testing.assert_allclose(Clip(-1.0, 2.0).forward(X), [min(max(x, -1.0), 2.0) for x in X], rtol=1e-14)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    assert_as_torch(
        Clip(-1.0, 2.0), lambda x: torch.clamp(torch.where((x > -1) & (x < 2), x, x.detach()), -1.0, 2.0), x=X
    )


def test_one_limit():
    np.testing.assert_array_equal(Clip(low=0.0).forward(X), [0.0, 0.0, 0.5, 2.0, 7.0, 1.5])
    np.testing.assert_array_equal(Clip(high=1.0).forward(X), [-3.0, -1.0, 0.5, 1.0, 1.0, 1.0])


def test_a_limit_that_float32_cannot_hold_still_stops_the_gradient():
    from flownet.testing.example import Example
    from flownet.testing.reference import differentiated

    gradients = differentiated(Example(Clip(low=0.1, high=0.7), {"x": np.float32([0.0, 0.4, 1.0])}))
    assert (gradients.run({"x": np.float32([0.0, 0.4, 1.0])})["x"] != 0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "`clip` has neither `low` nor `high`"),
        ({"low": 2.0, "high": 1.0}, "`low` of `clip` must be below `high`, which is 1.0, got 2.0"),
        ({"low": math.nan}, "`low` of `clip` must be a finite number"),
    ],
)
def test_limits_that_make_no_sense(limits, message):
    with pytest.raises(FlownetError, match=message):
        Clip(**limits).checked()
