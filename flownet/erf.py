"""The error function, which NumPy lacks: erf(x) = 2/√π ∫₀ˣ exp(−t²) dt.

Rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23
(1969), 631-637, in three ranges: erf itself up to 0.46875, then erfc = 1 − erf times exp(x²) up to 4 and beyond. The
figures are those of the paper (and of netlib's specfun/erf); tests/test_erf.py holds them against 30 digits and
against the C library.
"""

from __future__ import annotations

import numpy as np

__all__ = ["erf"]

# numerators and denominators, the highest power first
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_LARGE = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3),
)  # fmt: skip
_BLOCK = 1 << 15
_SMALL_ENDS, _MIDDLE_ENDS, _ALL_ONES = 0.46875, 4.0, 6.0  # beyond 6, erfc < 2.2e-17: erf is 1 in float64


def erf(x: object) -> np.ndarray:
    """erf at every element, in the element type of `x` (float64 inside). Error below 1e-15; NaN stays NaN.

    >>> erf(np.array([0.0, 1.0, -1.0]))
    array([ 0.        ,  0.84270079, -0.84270079])
    """
    x = np.asarray(x)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    if x.size <= _BLOCK:
        return _erf(x).astype(dtype, copy=False)
    flat, result = x.reshape(-1), np.empty(x.size, dtype)
    for start in range(0, x.size, _BLOCK):  # what is worked with stays in the cache: twice as fast
        result[start : start + _BLOCK] = _erf(flat[start : start + _BLOCK])
    return result.reshape(x.shape)


def _erf(x: np.ndarray) -> np.ndarray:
    """In float64."""
    t = np.abs(x, dtype=np.float64)
    result = np.where(np.isnan(t), np.nan, 1.0)
    small = t <= _SMALL_ENDS
    middle = (t > _SMALL_ENDS) & (t <= _MIDDLE_ENDS)
    large = (t > _MIDDLE_ENDS) & (t < _ALL_ONES)
    if small.any():
        s = t[small]
        result[small] = s * _ratio(_SMALL, s * s)
    if middle.any():
        s = t[middle]
        result[middle] = 1 - np.exp(-s * s) * _ratio(_MIDDLE, s)
    if large.any():
        s = t[large]
        inverse = 1 / (s * s)
        result[large] = 1 - np.exp(-s * s) / s * (1 / np.sqrt(np.pi) - inverse * _ratio(_LARGE, inverse))
    return np.copysign(result, x)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    above, below = (np.full_like(x, polynomial[0]) for polynomial in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        above = above * x + a
        below = below * x + b
    return above / below
