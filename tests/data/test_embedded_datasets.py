"""The data inside the package: counts, certified solutions, and the copies that they were taken from."""

import hashlib

import numpy as np
import pytest

from flownet.data.datasets import BreastCancer, Digits, Iris, Norris, Xor
from flownet.data.embedded import path_of


def all_of(split):
    return split.take(np.arange(len(split)))


def counts(splits):
    return {name: len(split) for name, split in splits.items()}


def test_digits_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.datasets")
    theirs = sklearn.load_digits()
    splits = Digits().open()
    assert counts(splits) == {"train": 1347, "test": 450}
    image = np.empty((1797, 8, 8))
    label = np.empty(1797)
    place = {"test": np.arange(0, 1797, 4), "train": np.array([i for i in range(1797) if i % 4])}
    for name, split in splits.items():
        batch = all_of(split)
        assert batch["image"].dtype == np.float32
        image[place[name]] = batch["image"][:, 0] * 16
        label[place[name]] = batch["label"]
    np.testing.assert_array_equal(image, theirs.images)
    np.testing.assert_array_equal(label, theirs.target)


def test_digits_have_all_classes_in_both_splits_and_values_up_to_one():
    for split, fewest in ((Digits().open()["train"], 125), (Digits().open()["test"], 38)):
        batch = all_of(split)
        assert np.bincount(batch["label"], minlength=10).min() >= fewest
        assert batch["image"].min() == 0
        assert batch["image"].max() == 1


def test_norris_gives_its_certified_line():
    batch = all_of(Norris().open()["train"])
    x, y = batch["x"][:, 0].astype(np.float64), batch["y"][:, 0].astype(np.float64)
    design = np.stack([np.ones(36), x], axis=1)
    (intercept, slope), (residual,), *_ = np.linalg.lstsq(design, y, rcond=None)
    # NIST's certified values; float32 holds numbers up to 1000 to 3e-5
    assert intercept == pytest.approx(-0.262323073774029, abs=3e-5)
    assert slope == pytest.approx(1.00211681802045, abs=1e-7)
    assert (residual / 34) ** 0.5 == pytest.approx(0.884796396144373, abs=3e-5)


def test_norris_file_gives_all_certified_digits():
    y, x = np.loadtxt(path_of("norris.csv"), delimiter=",", skiprows=1).T
    slope, intercept = np.polyfit(x, y, 1)
    assert intercept == pytest.approx(-0.262323073774029, rel=1e-11)
    assert slope == pytest.approx(1.00211681802045, rel=1e-13)


def test_iris_has_ten_of_each_species_to_test():
    splits = Iris().open()
    assert counts(splits) == {"train": 120, "test": 30}
    assert np.bincount(all_of(splits["test"])["label"]).tolist() == [10, 10, 10]
    assert splits["train"].fields["label"].classes == ("setosa", "versicolor", "virginica")
    np.testing.assert_allclose(all_of(splits["test"])["x"][0], [5.1, 3.5, 1.4, 0.2], rtol=1e-6)  # Fisher's first flower


def test_iris_as_a_regression():
    batch = all_of(Iris(target="petal_width").open()["test"])
    assert batch["x"].shape == (30, 3)
    np.testing.assert_allclose(batch["y"][0], [0.2], rtol=1e-6)


def test_iris_and_breast_cancer_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.datasets")
    for dataset, theirs, nth in ((Iris(), sklearn.load_iris(), 5), (BreastCancer(), sklearn.load_breast_cancer(), 4)):
        splits = dataset.open()
        is_test = np.arange(len(theirs.data)) % nth == 0
        for name, mask in (("test", is_test), ("train", ~is_test)):
            batch = all_of(splits[name])
            np.testing.assert_array_equal(batch["x"], theirs.data[mask].astype(np.float32))
            classes = np.array(splits[name].fields["label"].classes)
            assert (classes[batch["label"]] == theirs.target_names[theirs.target[mask]]).all()


def test_breast_cancer_counts_malignant_as_one():
    splits = BreastCancer().open()
    assert counts(splits) == {"train": 426, "test": 143}
    malignant = sum(int(all_of(split)["y"].sum()) for split in splits.values())
    assert malignant == 212  # of 569, as the UCI repository states


def test_xor_is_its_truth_table():
    for split in Xor().open().values():
        batch = all_of(split)
        rows = [(*x, *y, label) for x, y, label in zip(*(batch[n].tolist() for n in ("x", "y", "label")), strict=True)]
        assert rows == [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 0)]


def test_the_files_have_not_changed():
    # results in the documentation were measured with these
    sums = {name: hashlib.sha256(path_of(name).read_bytes()).hexdigest()[:16] for name in ("iris.csv", "norris.csv")}
    assert sums == {"iris.csv": "9cc1c345c71bcc9b", "norris.csv": "a047ddf50dbbdd6f"}
