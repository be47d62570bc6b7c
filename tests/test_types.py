"""Sizes are polynomials in canonical form: equal exactly when they are the same number for all sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flownet.types import DType, Symbolic, TensorType, bind, symbols_of

N, H = Symbolic.symbol("N"), Symbolic.symbol("H")


def test_equal_sizes_have_equal_forms() -> None:
    assert (N + 1) * (N + 1) == N * N + 2 * N + 1
    assert N - N == 0
    assert hash(2 * N + H) == hash(H + N + N)
    assert N != H


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (N * 16 + 1, "16*N + 1"),
        (3 - N, "-N + 3"),
        ((H - 3) // 2 + 1, "((H - 3) // 2) + 1"),
        (2 * N * H, "2*H*N"),
    ],
)
def test_the_text_of_a_size(dim: Symbolic, text: str) -> None:
    # H - 3 = (H - 1) - 2, whose second part divides: the canonical form may move it out of the floor
    assert bind(dim, {"N": 7, "H": 28}) == eval(text, {"N": 7, "H": 28})


def test_floor_division_takes_out_what_divides() -> None:
    assert (2 * N + 3) // 2 == N + 1
    assert (4 * N) // 4 == N
    assert (N * 16) // N == 16
    assert N // N == 1


def test_floor_of_a_symbol_equals_itself_alone() -> None:
    assert (H - 3) // 2 == (H - 3) // 2
    assert (H - 3) // 2 != (H - 2) // 2


def test_a_quotient_that_sizes_do_not_tell_is_an_error() -> None:
    with pytest.raises(ValueError, match="without knowing the sizes"):
        N // H
    with pytest.raises(ValueError, match="divided by 0"):
        N // 0


# expressions that people write: small polynomials with floors, evaluated by Python beside them
_atoms = st.sampled_from(["N", "H", "1", "2", "3", "7"])
_texts = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(["2", "3", "5"])).map(lambda t: f"({t[0]} // {t[1]})"),
    ),
    max_leaves=6,
)


@given(text=_texts, n=st.integers(1, 50), h=st.integers(1, 50))
def test_binding_a_size_is_computing_it(text: str, n: int, h: int) -> None:
    symbolic = eval(text, {"N": N, "H": H})
    assert bind(symbolic, {"N": n, "H": h}) == eval(text, {"N": n, "H": h})


def test_binding_some_symbols_leaves_the_others() -> None:
    assert (N * H + H).bind({"N": 3}) == 4 * H
    assert symbols_of([N * H, 3, (H - 1) // 2]) == {"N", "H"}


@pytest.mark.parametrize("dtype", list(DType))
def test_element_types_are_numpy_s(dtype: DType) -> None:
    assert DType.of(np.zeros(1, dtype.numpy).dtype) is dtype
    assert dtype.itemsize == np.zeros(1, dtype.numpy).itemsize
    assert str(dtype) == dtype.numpy.name


def test_an_element_type_that_flownet_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="complex64"):
        DType.of(np.complex64)


def test_a_tensor_type_knows_its_size() -> None:
    type_ = TensorType(DType.float32, (N, 3, 4))
    assert str(type_) == "float32[N, 3, 4]"
    assert type_.rank == 3
    assert type_.size == 12 * N
    assert type_.nbytes == 48 * N
    assert not type_.is_concrete
    assert type_.bind({"N": 2}) == TensorType(DType.float32, (2, 3, 4))
    assert str(TensorType(DType.int64, ())) == "int64[]"
    assert TensorType(DType.int64, ()).size == 1
