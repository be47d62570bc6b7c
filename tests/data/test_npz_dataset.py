"""Arrays saved by NumPy, whole and damaged."""

import numpy as np
import pytest

from flownet.data.datasets import Npz


def all_of(split):
    return split.take(np.arange(len(split)))


def test_plain_names_are_the_train_split(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([[1.5], [2.5]]), y=np.array([0, 2]))
    splits = Npz(path="a.npz").open(tmp_path)
    assert list(splits) == ["train"]
    assert all_of(splits["train"])["x"].tolist() == [[1.5], [2.5]]
    assert all_of(splits["train"])["x"].dtype == np.float32
    assert splits["train"].fields["y"].classes == ("0", "1", "2")


@pytest.mark.parametrize("form", ["{field}_{split}", "{split}_{field}"])
def test_names_say_their_split(tmp_path, form):
    arrays = {}
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        arrays[form.format(field="image", split=split)] = np.full((count, 2, 2), 51, np.uint8)
        arrays[form.format(field="label", split=split)] = np.zeros(count, np.int64)
    np.savez(tmp_path / "a.npz", **arrays)
    splits = Npz(path="a.npz", classes=2).open(tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 1, "test": 2}
    assert splits["train"].fields["image"].shape == (1, 2, 2)
    np.testing.assert_array_equal(all_of(splits["test"])["image"], np.full((2, 1, 2, 2), 0.2, np.float32))


def test_a_folder_of_npy_is_mapped_and_checked_when_taken(tmp_path, monkeypatch, refused):
    monkeypatch.setattr("flownet.data.split._CHECKED_AT_OPEN", 0)
    x = np.ones((10, 4), np.float32)
    x[7, 2] = np.nan
    np.save(tmp_path / "x_train.npy", x)
    train = Npz(path=str(tmp_path)).open(tmp_path)["train"]
    assert train.take(np.arange(5))["x"].sum() == 20
    with refused("data-nan", "x_train.npy"):
        train.take(np.arange(5, 10))


def test_masks(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((1, 3, 2, 2), np.uint8), mask=np.array([[[0, 1], [9, 1]]]))
    train = Npz(path="a.npz", ignore=9).open(tmp_path)["train"]
    assert train.fields["mask"].kind == "mask"
    assert train.fields["mask"].classes == ("0", "1")
    assert all_of(train)["mask"].tolist() == [[[0, 1], [9, 1]]]


@pytest.mark.parametrize(
    ("arrays", "code", "texts"),
    [
        ({"x": np.array([[1.0], [np.nan]])}, "data-nan", ["example 1", "1 in all"]),
        ({"x": np.array([[np.inf]])}, "data-nan", ["inf"]),
        ({"x": np.zeros((3, 1)), "y": np.zeros(2)}, "data-count", ["3 of `x`", "2 of `y`"]),
        ({"x": np.zeros((0, 4))}, "data-empty", ["[0, 4]"]),
        ({"x": np.zeros(())}, "data-wrong-size", ["single number"]),
        ({"x": np.array(["a"])}, "data-field", ["element type <U1"]),
        ({"x": np.array([1j])}, "data-field", ["complex128"]),
        ({"label": np.array([0, -1])}, "data-label-range", ["class -1"]),
        ({"label": np.array([0, 10**12])}, "data-label-range", ["1000000000001 classes"]),
        ({"x_test": np.zeros((1, 1))}, "data-field", ["no arrays to train on"]),
        ({"x": np.zeros((1, 1)), "y_test": np.zeros((1, 1))}, "data-field", ["differ by `x`, `y`"]),
        ({"x": np.zeros((1, 1)), "x_train": np.zeros((1, 1))}, "data-field", ["two arrays for `x`"]),
        ({"x": np.zeros((1, 2)), "x_test": np.zeros((1, 3))}, "data-wrong-size", ["[3]", "[2]"]),
        ({}, "data-field", ["found those for nothing"]),
    ],
)
def test_arrays_that_cannot_be_learned_from(tmp_path, refused, arrays, code, texts):
    np.savez(tmp_path / "a.npz", **arrays)
    with refused(code, "a.npz", *texts):
        Npz(path="a.npz").open(tmp_path)


def test_objects_are_refused(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with refused("data-forbidden-pickle", "a.npz"):
        Npz(path="a.npz").open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY\x01\x00", b"text"])
def test_files_that_are_not_numpys(tmp_path, refused, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        Npz(path="a.npz").open(tmp_path)
    assert caught.value.diagnostics[0].code in ("data-unreadable", "data-forbidden-pickle")
    assert "a.npz" in str(caught.value)


def test_truncated_files(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.zeros((100, 10)))
    np.save(tmp_path / "b.npy", np.zeros((100, 10)))
    for name, code in (("a.npz", "data-unreadable"), ("b.npy", "data-truncated")):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:1000])
        with refused(code, name):
            Npz(path=name).open(tmp_path)
