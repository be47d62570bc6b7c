"""Initialisers: moments and bounds as their papers give them, for shapes and fans of a real layer."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

from flownet.initialisers import BUILTIN, Normal, parameter_generator
from flownet.op.contract import Initial
from flownet.types import DType, TensorType

SHAPE, FAN_IN, FAN_OUT = (200, 300), 300, 200


def sample(name: str, shape=SHAPE, **attributes) -> np.ndarray:
    return BUILTIN[name](**attributes).sample(parameter_generator(1, "layer.weight"), shape, FAN_IN, FAN_OUT)


# 60,000 draws: the standard error of a standard deviation is 0.3%, of a mean 0.4% of the deviation
@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("xavier_uniform", np.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("xavier_normal", np.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("he_uniform", np.sqrt(2 / FAN_IN)),
        ("he_normal", np.sqrt(2 / FAN_IN)),
        ("lecun_normal", np.sqrt(1 / FAN_IN)),
        ("normal", 0.01),
        ("uniform", 0.1 / np.sqrt(12)),
    ],
)
def test_mean_and_deviation(name: str, std: float) -> None:
    values = sample(name)
    assert abs(values.mean()) < 0.02 * std
    assert values.std() == pytest.approx(std, rel=0.015)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("xavier_uniform", np.sqrt(6 / 500)), ("he_uniform", np.sqrt(6 / 300)), ("uniform", 0.05)],
)
def test_uniform_ones_stay_within_their_bound_and_reach_it(name: str, bound: float) -> None:
    values = sample(name)
    assert 0.999 * bound < np.abs(values).max() <= bound


def test_he_normal_by_fan_out() -> None:
    assert sample("he_normal", fan="out").std() == pytest.approx(np.sqrt(2 / FAN_OUT), rel=0.015)


def test_constants() -> None:
    assert (sample("zeros") == 0).all()
    assert (sample("ones") == 1).all()
    assert (sample("constant", value=0.5) == 0.5).all()


@pytest.mark.parametrize("shape", [(8, 8), (4, 9), (9, 4), (6, 3, 2, 2)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape: tuple[int, ...]) -> None:
    matrix = sample("orthogonal", shape).reshape(shape[0], -1)
    smaller = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(smaller, np.eye(len(smaller)), atol=1e-12)


def test_bilinear_is_the_kernel_that_doubles_an_image() -> None:
    # Long, Shelhamer, Darrell 2015: for a factor of 2 the kernel is 4×4, the outer product of (1, 3, 3, 1) / 4
    weight = sample("bilinear", (2, 2, 4, 4))
    row = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_allclose(weight[0, 0], np.outer(row, row))
    assert (weight[0, 1] == 0).all()


def test_the_generator_depends_on_seed_and_name_and_on_nothing_else() -> None:
    first = parameter_generator(3, "a.weight").normal(size=4)
    np.testing.assert_array_equal(first, parameter_generator(3, "a.weight").normal(size=4))
    assert not np.array_equal(first, parameter_generator(4, "a.weight").normal(size=4))
    assert not np.array_equal(first, parameter_generator(3, "b.weight").normal(size=4))


@pytest.mark.parametrize("name", sorted(set(BUILTIN) - {"bilinear"}))
@pytest.mark.parametrize("shape", [(300, 517), (64, 1, 3, 700)])
def test_a_parameter_drawn_in_pieces_is_the_one_drawn_at_once(name: str, shape: tuple[int, ...]) -> None:
    initial = Initial(TensorType(DType.float32, shape), name, fan_in=30, fan_out=7)
    whole = BUILTIN[name]().sample(parameter_generator(3, "w"), shape, 30, 7).astype(np.float32)
    np.testing.assert_array_equal(initial.array(3, "w"), whole)


def test_a_large_parameter_takes_little_more_than_itself_to_start() -> None:
    initial = Initial(TensorType(DType.float32, (1000, 4000)), "he_normal", fan_in=4000)
    tracemalloc.start()
    try:
        initial.array(0, "w")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * 4 * 1000 * 4000


def test_a_subclass_of_one_that_draws_by_element_is_asked_for_the_whole() -> None:
    @dataclass(frozen=True)
    class Centred(Normal):
        def sample(self, generator, shape, fan_in, fan_out):
            values = super().sample(generator, shape, fan_in, fan_out)
            return values - values.mean()

    array = Initial(TensorType(DType.float64, (300, 400)), Centred(std=1.0)).array(0, "w")
    assert abs(array.mean()) < 1e-12
