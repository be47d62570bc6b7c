"""random_uniform: numbers that depend on seed, step, stream and place alone."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.graph import Builder, Graph, Kind
from flownet.ops.random.random_uniform import RandomUniform
from flownet.types import DType, Symbolic, TensorType

RNG = np.array([7, 41], np.uint32)


def _draw(shape, stream=0, rng=RNG, dtype="float32"):
    return RandomUniform(shape, stream, dtype).forward(rng=rng)


def test_the_documented_formula():
    # Philox of counter (i/4, step, 0, 0) and key (seed, stream), on Python's whole numbers
    def element(i, seed, step, stream):
        c, k = [i // 4, step, 0, 0], [seed, stream]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
            k = [k[0] + 0x9E3779B9 & 0xFFFFFFFF, k[1] + 0xBB67AE85 & 0xFFFFFFFF]
        return (c[i % 4] >> 8) * 2.0**-24

    y = _draw((3, 7), stream=0xDEADBEEF)
    assert y.dtype == np.float32
    assert y.ravel().tolist() == [element(i, 7, 41, 0xDEADBEEF) for i in range(21)]


def test_looks_uniform():
    y = _draw((1 << 18,))
    assert y.min() >= 0
    assert y.max() < 1
    assert abs(y.mean() - 0.5) < 4 / np.sqrt(12 * y.size)  # four standard deviations
    counts = np.bincount((y * 64).astype(int), minlength=64)
    chi_square = ((counts - y.size / 64) ** 2 / (y.size / 64)).sum()
    assert 30 < chi_square < 110  # 63 degrees of freedom: both tails below 1e-3
    assert abs(np.corrcoef(y[:-1], y[1:])[0, 1]) < 4 / np.sqrt(y.size)


def test_everything_that_it_depends_on():
    base = _draw((64,))
    for other in (
        _draw((64,), stream=1),
        _draw((64,), rng=np.array([8, 41], np.uint32)),
        _draw((64,), rng=np.array([7, 42], np.uint32)),
    ):
        assert (other == base).mean() < 0.05
    assert (_draw((64,)) == base).all()
    assert (_draw((4, 16)).ravel() == base).all()  # places count, not shapes
    assert (_draw((300_001,))[:64] == base).all()
    assert (_draw((300_001,))[-1:] == _draw((300_002,))[300_000]).all()


def test_same_numbers_in_float64():
    assert (_draw((64,), dtype="float64") == _draw((64,))).all()


def test_no_elements():
    assert _draw((0, 3)).shape == (0, 3)
    assert _draw(()).shape == ()


def test_nodes_have_streams_of_their_own_and_one_state():
    graph = Graph()
    g = Builder(graph)
    g.add(RandomUniform((4,)), name="a")
    g.add(RandomUniform((4,)), name="b")
    g.add(RandomUniform((4,), stream=5), name="c")
    assert [node.op.stream for node in graph.nodes.values()] == [zlib.crc32(b"a"), zlib.crc32(b"b"), 5]
    (state,) = graph.of_kind(Kind.STATE)
    assert (state.name, str(state.type)) == ("rng", "uint32[2]")


def test_shape_of_an_input_and_symbols():
    n = Symbolic.symbol("N")
    assert RandomUniform().infer(TensorType(DType.int8, (n, 3))) == TensorType(DType.float32, (n, 3))
    assert RandomUniform((n, 3)).bind({"N": 2}).forward(rng=RNG).shape == (2, 3)


def test_neither_shape_nor_input():
    with pytest.raises(FlownetError, match="`random_uniform` has neither `shape` nor an input"):
        RandomUniform().infer()


def test_attributes_that_make_no_sense():
    with pytest.raises(FlownetError, match="`stream` of `random_uniform` must be a number of 32 bits"):
        RandomUniform((2,), stream=-1).checked()
    with pytest.raises(FlownetError, match="`shape` of `random_uniform` must be sizes of at least 0"):
        RandomUniform((-2,)).checked()
