"""Philox4x32-10 against the known-answer vectors of its authors (Random123, file `kat_vectors`)."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.ops.random.philox import philox4x32

ONES = 0xFFFFFFFF

# (counter, key, words)
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    first, *rest = counter
    assert tuple(int(word[0]) for word in philox4x32((np.array([first]), *rest), key)) == words


def _naive(counter, key):
    """The ten rounds on Python's whole numbers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & ONES, p >> 32 ^ c[3] ^ k[1], p & ONES]
        k = [k[0] + 0x9E3779B9 & ONES, k[1] + 0xBB67AE85 & ONES]
    return c


def test_many_counters_at_once():
    counters = np.concatenate([np.arange(50), [2**32 - 1]])
    words = philox4x32((counters, 12345, 7, 0), (987654321, 42))
    for i, counter in enumerate(counters):
        assert [int(word[i]) for word in words] == _naive((int(counter), 12345, 7, 0), (987654321, 42))
