"""Holding out, limiting and standardising, with the arithmetic done by hand."""

import numpy as np
import pytest

from flownet.data.datasets import Npz
from flownet.data.preparation import Moments, hold_out, limited, prepare
from flownet.data.split import ArraySplit, Field
from flownet.types import DType


def table(*columns, **more):
    x = np.array(columns, np.float32).T
    return ArraySplit({"x": x, **more}, {"x": Field(DType.float32, x.shape[1:])})


def all_of(split):
    return split.take(np.arange(len(split)))["x"]


def test_per_channel_uses_the_train_split_alone():
    splits = prepare(
        "t", {"train": table([1, 2, 3, 6], [10, 10, 20, 20]), "test": table([3], [30])}, standardise="per_channel"
    )
    # column 0: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5; column 1: mean 15, deviation 5
    np.testing.assert_allclose(all_of(splits["train"])[:, 0], np.array([-2, -1, 0, 3]) / 3.5**0.5, rtol=1e-6)
    np.testing.assert_allclose(all_of(splits["train"])[:, 1], [-1, -1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(all_of(splits["test"]), [[0, 3]], atol=1e-6)


def test_channels_of_images_over_all_their_pixels():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (600, 3, 5, 4)).astype(np.uint8)  # more than one chunk
    split = ArraySplit({"image": image}, {"image": Field(DType.float32, (3, 5, 4), "image", range=(0, 1))})
    train = prepare("t", {"train": split}, standardise="per_channel")["train"]
    exact = image.astype(np.float64) / 255
    mean, std = exact.mean(axis=(0, 2, 3)), exact.std(axis=(0, 2, 3))
    np.testing.assert_allclose(train.moments["image"].mean, mean, rtol=1e-7)
    np.testing.assert_allclose(train.moments["image"].std, std, rtol=1e-6)
    out = train.take(np.array([599]))["image"][0]
    np.testing.assert_allclose(out, (exact[599] - mean[:, None, None]) / std[:, None, None], rtol=2e-5, atol=2e-6)
    assert train.fields["image"].range is None


def test_a_large_mean_keeps_its_digits():
    # E[x²] - E[x]² in float32 would give 0 or worse here
    x = 1e4 + np.array([0.0, 1.0, 2.0, 3.0])
    train = prepare("t", {"train": table(x)}, standardise="per_channel")["train"]
    assert train.moments["x"].mean[0] == pytest.approx(10001.5, rel=1e-9)
    assert train.moments["x"].std[0] == pytest.approx(1.25**0.5, rel=1e-6)


def test_a_constant_column_becomes_zero():
    out = all_of(prepare("t", {"train": table([0.1] * 3, [1, 2, 3])}, standardise="per_channel")["train"])
    assert np.abs(out[:, 0]).max() < 1e-6


def test_targets_keep_their_units():
    y = np.array([[100.0], [300.0]], np.float32)
    fields = {"x": Field(DType.float32, (1,)), "y": Field(DType.float32, (1,))}
    split = ArraySplit({"x": y / 100, "y": y}, fields)
    out = prepare("t", {"train": split}, standardise="per_channel")["train"].take(np.arange(2))
    assert out["y"].tolist() == [[100], [300]]
    assert out["x"].tolist() == [[-1], [1]]


def test_given_moments():
    out = all_of(prepare("t", {"train": table([1, 3], [5, 5])}, standardise=Moments((1.0, 5.0), (2.0, 1.0)))["train"])
    assert out.tolist() == [[0, 0], [1, 0]]
    out = all_of(prepare("t", {"train": table([1, 3], [5, 5])}, standardise=Moments((1.0,), (4.0,)))["train"])
    assert out.tolist() == [[0, 1], [0.5, 1]]


def test_moments_that_do_not_fit(refused):
    with refused("bad-option", "gives 3 means", "2 channels"):
        prepare("t", {"train": table([1], [2])}, standardise=Moments((1.0,) * 3, (1.0,) * 3))
    with refused("bad-option", "as many `std` as `mean`"):
        Moments((1.0,), ())
    with refused("bad-option", "above zero"):
        Moments((1.0,), (0.0,))


def test_standardising_nothing(refused):
    split = ArraySplit({"label": np.zeros(2, np.int32)}, {"label": Field(DType.int32, (), "label", ("a",))})
    with refused("data-field", "nothing to standardise", "`label`"):
        prepare("t", {"train": split}, standardise="per_channel")


def test_held_out_examples_are_the_rest_in_order():
    split = table(range(100))
    left, held = hold_out(split, 0.1, seed=4)
    assert (len(left), len(held)) == (90, 10)
    rows = all_of(held)[:, 0].tolist()
    assert rows == sorted(rows)
    assert sorted(rows + all_of(left)[:, 0].tolist()) == list(range(100))
    assert rows == all_of(hold_out(split, 10, seed=4)[1])[:, 0].tolist()
    assert rows != all_of(hold_out(split, 10, seed=5)[1])[:, 0].tolist()
    assert rows != all_of(hold_out(split, 10, seed=4, test=True)[1])[:, 0].tolist()


@pytest.mark.parametrize("part", [0.001, 0.999, 10, 11])
def test_both_parts_need_examples(refused, part):
    with refused("data-empty", f"holding out {part} of 10"):
        hold_out(table(range(10)), part, 0)


def test_a_limit_spreads_over_the_split():
    assert all_of(limited(table(range(10)), 5))[:, 0].tolist() == [0, 2, 4, 6, 8]
    assert all_of(limited(table(range(10)), 3))[:, 0].tolist() == [0, 3, 6]
    assert len(limited(table(range(10)), 99)) == 10


def test_a_dataset_does_all_of_it(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.arange(100.0)[:, None])
    splits = Npz(path="a.npz", test=20, validation=0.25, limit=30, standardise="per_channel").open(tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 30, "test": 20, "validation": 20}
    assert abs(all_of(splits["train"]).mean()) < 1e-6
    np.savez(tmp_path / "b.npz", x=np.zeros((4, 1)), x_val=np.zeros((2, 1)))
    with refused("bad-option", "its own validation split of 2"):
        Npz(path="b.npz", validation=0.5).open(tmp_path)
    for wrong in ({"validation": 1.0}, {"validation": -1}, {"limit": 0}):
        with refused("bad-option", next(iter(wrong))):
            Npz(path="a.npz", **wrong)
