"""embedding: rows of a table."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.ops.linear.embedding import Embedding
from flownet.types import DType, Symbolic, TensorType
from tests.ops.beside_torch import assert_as_torch, numbers

INDICES = np.array([[3, 0, 3], [1, 3, 0]])


def test_against_a_loop():
    weight = numbers(4, 2)
    y = Embedding(4, 2).forward(INDICES, weight)
    for i, j, k in np.ndindex(2, 3, 2):
        assert y[i, j, k] == weight[INDICES[i, j], k]


def test_rows_taken_often_get_all_gradients():
    functional = pytest.importorskip("torch.nn.functional")
    assert_as_torch(Embedding(4, 2), functional.embedding, indices=INDICES, weight=numbers(4, 2))
    dy = np.ones((2, 3, 2))
    assert Embedding(4, 2).backward_weight(INDICES, np.zeros((4, 2)), dy)[:, 0].tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32])
def test_every_kind_of_whole_numbers(dtype):
    weight = numbers(4, 2)
    np.testing.assert_array_equal(Embedding(4, 2).forward(INDICES.astype(dtype), weight), weight[INDICES])


@pytest.mark.parametrize("index", [-1, 4, 1000])
def test_an_index_that_is_no_row(index):
    with pytest.raises(FlownetError, match=f"`embedding` has 4 rows, got the index {index}") as error:
        Embedding(4, 2).forward(np.array([0, index]), numbers(4, 2))
    assert error.value.diagnostics[0].code == "index-out-of-range"


def test_symbols():
    n = Symbolic.symbol("N")
    assert Embedding(10, 3).infer(TensorType(DType.int64, (n, 5))) == TensorType(DType.float32, (n, 5, 3))


def test_indices_that_are_no_whole_numbers():
    with pytest.raises(FlownetError, match=r"`embedding` takes whole numbers as `indices`, got float32\[2\]"):
        Embedding(4, 2).infer(TensorType(DType.float32, (2,)))


def test_attributes_that_make_no_sense():
    with pytest.raises(FlownetError, match="`rows` of `embedding` must be at least 1"):
        Embedding(0, 2).checked()
