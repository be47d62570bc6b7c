"""Philox4x32-10: four random 32-bit words as a function of a counter and a key, and of nothing else.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Ten rounds;
in each, with the 64-bit products p = 0xD2511F53 · c0 and q = 0xCD9E8D57 · c2,

    (c0, c1, c2, c3) <- (high(q) ^ c1 ^ k0, low(q), high(p) ^ c3 ^ k1, low(p))

and after each round but the last the key goes on: k0 += 0x9E3779B9, k1 += 0xBB67AE85, modulo 2³². Tests hold it
against the known-answer vectors that the authors publish with Random123.
"""

from __future__ import annotations

import numpy as np

__all__ = ["philox4x32"]

_P, _Q = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEP0, _STEP1, _MASK32 = 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF
_HALF, _LOW = np.uint64(32), np.uint64(_MASK32)
ROUNDS = 10


def philox4x32(counter: tuple[np.ndarray, int, int, int], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Four arrays of words (uint64 below 2³²), for counters that differ in their first word alone."""
    c0 = counter[0].astype(np.uint64)
    c1, c2, c3 = (np.full_like(c0, word) for word in counter[1:])
    k0, k1 = key
    for _ in range(ROUNDS):
        p, q = _P * c0, _Q * c2
        c0 = (q >> _HALF) ^ c1 ^ np.uint64(k0)
        c1 = q & _LOW
        c2 = (p >> _HALF) ^ c3 ^ np.uint64(k1)
        c3 = p & _LOW
        k0, k1 = (k0 + _STEP0) & _MASK32, (k1 + _STEP1) & _MASK32
    return c0, c1, c2, c3
