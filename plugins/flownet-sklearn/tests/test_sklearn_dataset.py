"""scikit-learn's datasets as flownet's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets
from flownet_sklearn import Sklearn

import flownet


def whole(which: str, **options) -> dict[str, np.ndarray]:
    split = Sklearn(which=which, test=0, **options).open()["train"]
    return split.take(np.arange(len(split)))


def test_classes_with_their_names() -> None:
    bunch = sklearn.datasets.load_wine()
    batch = whole("wine")
    np.testing.assert_array_equal(batch["x"], bunch.data.astype(np.float32))
    np.testing.assert_array_equal(batch["label"], bunch.target)
    assert Sklearn(which="wine").open()["train"].fields["label"].classes == tuple(bunch.target_names)


def test_numbers() -> None:
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    batch = whole("diabetes")
    np.testing.assert_array_equal(batch["y"], y.astype(np.float32)[:, None])
    assert batch["x"].shape == x.shape
    assert whole("linnerud")["y"].shape == (20, 3)


def test_generators_take_their_options() -> None:
    x, y = sklearn.datasets.make_moons(50, noise=0.1, random_state=4)
    batch = whole("moons", samples=50, noise=0.1, seed=4)
    np.testing.assert_array_equal(batch["x"], x.astype(np.float32))
    np.testing.assert_array_equal(batch["label"], y)
    np.testing.assert_array_equal(batch["y"], y[:, None])


@pytest.mark.parametrize("which", ["hastie_10_2", "friedman1", "s_curve", "blobs", "multilabel_classification"])
def test_every_form_of_target(which: str) -> None:
    batch = whole(which, samples=30)
    assert {"x"} < set(batch)
    assert all(len(array) == 30 for array in batch.values())


def test_a_part_is_held_out() -> None:
    splits = Sklearn(which="iris", test=0.2).open()
    assert {name: len(split) for name, split in splits.items()} == {"train": 120, "test": 30}


@pytest.mark.parametrize(
    ("options", "says"),
    [({"which": "moon"}, "did you mean `moons`"), ({"which": "blobs", "noise": 0.1}, "leave `noise` out")],
)
def test_wrong_options(options: dict, says: str) -> None:
    with pytest.raises(flownet.FlownetError, match=says):
        Sklearn(**options).open()
