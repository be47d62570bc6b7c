"""The random numbers against Philox4x64-10 written out from the paper, and their statistics."""

import functools
import operator

import numpy as np
import pytest

from flownet.data.counter_random import Draws, permutation

WORD = (1 << 64) - 1


def philox(counter, key):
    """Salmon et al. 2011, section 3.3, in whole numbers of Python."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(b >> 64) ^ c[1] ^ k[0], b & WORD, (a >> 64) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B97F4A7C15) & WORD, (k[1] + 0xBB67AE8584CAA73B) & WORD]
    return c


def test_the_oracle_gives_the_published_answer():
    # Random123's kat_vectors, `philox4x64 10` of zeros
    assert philox([0] * 4, [0] * 2) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


def test_an_order_is_the_ranks_of_words_of_philox():
    # NumPy counts on before it makes the first block
    words = functools.reduce(operator.iadd, (philox([block, 0, 0, 0], [7, 3]) for block in (1, 2, 3)), [])[:10]
    assert permutation(10, 7, 3).tolist() == sorted(range(10), key=words.__getitem__)


def test_the_words_of_an_example_are_a_block_of_its_own():
    draws = Draws(seed=5, epoch=2, first=100, count=3, stream=1)
    assert draws.words(2).tolist() == [philox([101 + i, 0, 1, 2], [5, 2])[:2] for i in range(3)]
    # the second call counts on in the second word
    assert draws.words(4).tolist() == [philox([101 + i, 1, 1, 2], [5, 2]) for i in range(3)]


def test_more_words_than_a_block_has():
    found = Draws(0, 0, 10, 2).words(6)
    assert found[1].tolist() == (philox([23, 0, 0, 2], [0, 0]) + philox([24, 0, 0, 2], [0, 0]))[:6]


def test_negative_and_huge_seeds_are_seeds():
    assert permutation(20, -1).tolist() != permutation(20, 1).tolist()
    assert sorted(permutation(20, 2**70 + 5, 2**40)) == list(range(20))


def test_holding_out_takes_another_order_than_the_first_epoch():
    assert permutation(50, 0).tolist() != permutation(50, 0, hold_out=True).tolist()


def test_uniform_is_uniform():
    u = Draws(0, 0, 0, 100_000).uniform(1)[:, 0]
    assert 0 <= u.min() < u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    # chi-squared of 19 degrees of freedom: 43.8 is its 0.1% point; the seed is fixed, so that this cannot flicker
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8


def test_integers_include_both_ends():
    found = Draws(0, 0, 0, 1000).integers(-2, 2, 3)
    assert found.shape == (1000, 3)
    assert set(found.ravel()) == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_a_permutation_has_each_index_once(length):
    assert sorted(permutation(length, 3)) == list(range(length))
