"""erf against values of 30 digits, and against the C library over a dense grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flownet.erf import erf

# mpmath.erf at 30 digits, rounded to 20
_KNOWN = {
    0.1: 0.11246291601828489220,
    0.46875: 0.49261347321793799159,
    0.5: 0.52049987781304653768,
    1.0: 0.84270079294971486934,
    2.0: 0.99532226501895273416,
    3.5: 0.99999925690162765858,
    4.0: 0.99999998458274209972,
    5.0: 0.99999999999846254020,
}


@pytest.mark.parametrize("x", _KNOWN)
def test_known_values(x):
    assert erf(np.float64(x)) == pytest.approx(_KNOWN[x], abs=3e-16)
    assert erf(np.float64(-x)) == -erf(np.float64(x))


def test_dense_grid_against_the_c_library():
    x = np.concatenate([np.linspace(-7, 7, 40001), np.geomspace(1e-300, 7, 4001)])
    reference = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - reference).max() < 1e-15
    tiny = np.geomspace(1e-300, 0.4, 2001)  # relative, where erf is nearly 2x/√π
    assert np.allclose(erf(tiny), [math.erf(value) for value in tiny], rtol=1e-15, atol=0)


def test_ends_and_element_types():
    assert erf(np.array([np.inf, -np.inf, 0.0, -0.0])).tolist() == [1.0, -1.0, 0.0, -0.0]
    assert math.copysign(1, float(erf(np.float64(-0.0)))) == -1
    assert np.isnan(erf(np.array([np.nan]))).all()
    single = erf(np.array([[0.5]], np.float32))
    assert single.dtype == np.float32
    assert single[0, 0] == np.float32(0.5204998778130465)
    assert erf(np.zeros((0, 3))).shape == (0, 3)


def test_large_arrays_are_worked_through_in_blocks():
    x = np.linspace(-5, 5, 100_001).reshape(1, -1)
    y = erf(x)
    assert y.shape == x.shape
    places = [0, 32767, 32768, 65536, 99_999, 100_000]
    assert np.allclose(y[0, places], [math.erf(x[0, i]) for i in places], rtol=0, atol=1e-15)
