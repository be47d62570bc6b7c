"""Each augmentation against a loop that does it pixel by pixel, and what all of them promise."""

import numpy as np
import pytest

from flownet.data.augmentation import augment, read_augmentations
from flownet.data.augmentations import Crop, Flip, Shift, builtin_augmentations
from flownet.data.counter_random import Draws
from flownet.data.split import Field
from flownet.types import DType

FIELDS = {
    "image": Field(DType.float32, (3, 5, 7), "image", range=(0, 1)),
    "mask": Field(DType.int32, (5, 7), "mask", ("a", "b", "c"), ignore=255),
    "label": Field(DType.int32, (), "label", ("x", "y")),
}


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        # every pixel of the mask can be told from its image: mask = which of three bands the value lies in
        "image": (image := rng.random((64, 3, 5, 7), np.float32)),
        "mask": (image[:, 0] * 3).astype(np.int32),
        "label": rng.integers(0, 2, 64).astype(np.int32),
    }


AUGMENTATIONS = [
    Flip(),
    Flip(axis="vertical", probability=1.0),
    Shift(pixels=2),
    Shift(pixels=1, fill="edge"),
    Crop(size=(4, 3)),
    Crop(size=5, padding=2),
    Crop(size=(5, 7), padding=1, fill="edge"),
]


def run(augmentation, batch, seed=3, epoch=2, first=0):
    return augment(batch, FIELDS, [augmentation], seed, epoch, first)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
class TestAll:
    def test_the_input_stays_as_it_was(self, augmentation, batch):
        before = {name: array.copy() for name, array in batch.items()}
        run(augmentation, batch)
        for name, array in before.items():
            np.testing.assert_array_equal(batch[name], array)

    def test_the_result_has_the_declared_shape(self, augmentation, batch):
        after = augmentation.fields_after(FIELDS)
        for name, array in run(augmentation, batch).items():
            assert array.shape[1:] == after[name].shape
            assert array.dtype == after[name].dtype.numpy

    def test_the_mask_goes_with_its_image(self, augmentation, batch):
        out = run(augmentation, batch)
        known = out["mask"] != 255
        assert known.any()
        np.testing.assert_array_equal(out["mask"][known], (out["image"][:, 0] * 3).astype(np.int32)[known])
        assert (out["image"][:, 0][~known] == 0).all()

    def test_labels_stay(self, augmentation, batch):
        np.testing.assert_array_equal(run(augmentation, batch)["label"], batch["label"])

    def test_batches_of_any_size_give_the_same(self, augmentation, batch):
        whole = run(augmentation, batch, first=10)
        for size in (1, 7, 64):
            parts = [
                run(augmentation, {n: a[i : i + size] for n, a in batch.items()}, first=10 + i)
                for i in range(0, 64, size)
            ]
            for name in batch:
                np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])

    def test_seed_epoch_and_place_all_matter(self, augmentation, batch):
        if getattr(augmentation, "probability", 0) == 1:
            pytest.skip("nothing is left to chance")
        base = run(augmentation, batch)["image"]
        for other in ({"seed": 4}, {"epoch": 3}, {"first": 64}):
            assert (run(augmentation, batch, **other)["image"] != base).any()


def test_flip_mirrors_about_half(batch):
    out = run(Flip(), batch)["image"]
    flipped = [(o == i[:, :, ::-1]).all() for o, i in zip(out, batch["image"], strict=True)]
    kept = [(o == i).all() for o, i in zip(out, batch["image"], strict=True)]
    assert all(f != k for f, k in zip(flipped, kept, strict=True))
    assert 20 <= sum(flipped) <= 44  # 32 ± 3 standard deviations of 4


def test_flip_with_probability_one_is_a_mirror(batch):
    np.testing.assert_array_equal(
        run(Flip(probability=1.0), batch)["image"], batch["image"][:, :, :, [6, 5, 4, 3, 2, 1, 0]]
    )
    np.testing.assert_array_equal(
        run(Flip(axis="vertical", probability=1.0), batch)["mask"], batch["mask"][:, [4, 3, 2, 1, 0]]
    )


def moved(image, dy, dx, fill):
    out = np.full_like(image, fill)
    for y in range(5):
        for x in range(7):
            if 0 <= y - dy < 5 and 0 <= x - dx < 7:
                out[..., y, x] = image[..., y - dy, x - dx]
    return out


def test_shift_is_one_of_the_moves_each_about_equally_often():
    image = np.random.default_rng(5).random((2500, 1, 5, 7), np.float32)
    fields = {"image": Field(DType.float32, (1, 5, 7), "image")}
    out = Shift(pixels=2, fill=-1.0).apply({"image": image}, fields, Draws(0, 0, 0, 2500))["image"]
    moves = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    counts = dict.fromkeys(moves, 0)
    for before, after in zip(image, out, strict=True):
        matching = [move for move in moves if (moved(before, *move, -1.0) == after).all()]
        assert len(matching) == 1
        counts[matching[0]] += 1
    # 100 of each expected, standard deviation 9.8: all 25 within 4 of them
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


def test_crop_with_padding_is_a_window_of_the_padded_image(batch):
    out = run(Crop(size=(5, 7), padding=2), batch)["image"]
    seen = set()
    for before, after in zip(batch["image"], out, strict=True):
        padded = np.zeros((3, 9, 11), np.float32)
        padded[:, 2:7, 2:9] = before
        corners = [(y, x) for y in range(5) for x in range(5) if (padded[:, y : y + 5, x : x + 7] == after).all()]
        assert len(corners) == 1
        seen.add(corners[0])
    assert len(seen) > 15  # of 25, in 64 draws


def test_the_edge_is_repeated():
    image = np.arange(35, dtype=np.float32).reshape(1, 1, 5, 7)
    fields = {"image": Field(DType.float32, (1, 5, 7), "image")}
    out = Shift(pixels=4, fill="edge").apply({"image": image}, fields, Draws(1, 0, 0, 1))["image"]
    assert set(out.ravel()) <= set(image.ravel())


def test_a_mask_without_a_class_for_no_label_needs_the_edge(refused):
    fields = {**FIELDS, "mask": Field(DType.int32, (5, 7), "mask", ("a", "b"))}
    with refused("data-field", "`shift`", "fill: edge"):
        Shift(pixels=1).fields_after(fields)
    Shift(pixels=1, fill="edge").fields_after(fields)
    Crop(size=3).fields_after(fields)


def test_what_cannot_be_done_is_said_before_training(refused):
    with refused("data-field", "`flip` needs an image", "`label`"):
        Flip().fields_after({"label": FIELDS["label"]})
    with refused("data-field", "[9, 9] is larger than `image`, [7, 9]"):
        Crop(size=9, padding=1).fields_after(FIELDS)
    with refused("data-field", "out of sight"):
        Shift(pixels=5).fields_after(FIELDS)


@pytest.mark.parametrize(
    "wrong",
    [lambda: Flip(probability=1.5), lambda: Shift(pixels=0), lambda: Crop(size=0), lambda: Crop(size=2, padding=-1)],
)
def test_values_out_of_range(refused, wrong):
    with refused("bad-option"):
        wrong()


def test_the_three_ways_to_write_one():
    declared = ["flip", {"shift": 2}, {"crop": {"size": 32, "padding": 4}}, {"crop": {"size": [3, 4]}}, {"flip": None}]
    assert read_augmentations(declared, builtin_augmentations()) == (
        Flip(),
        Shift(pixels=2),
        Crop(size=32, padding=4),
        Crop(size=(3, 4)),
        Flip(),
    )


@pytest.mark.parametrize(
    ("declared", "code", "texts"),
    [
        (["flp"], "unknown-augmentation", ["did you mean `flip`"]),
        ("flip", "bad-option", ["takes a list"]),
        ([3], "bad-option", ["{name: options}"]),
        (["shift"], "missing-option", ["`shift` needs the option `pixels`"]),
        ([{"shift": "two"}], "bad-option", ["a whole number, got the text `two`"]),
        ([{"crop": {"size": 3, "pading": 4}}], "unknown-option", ["did you mean `padding`"]),
        ([{"flip": {"axis": "sideways"}}], "bad-option", ["`horizontal` or `vertical`"]),
    ],
)
def test_mistakes_in_the_declaration(refused, declared, code, texts):
    with refused(code, *texts):
        read_augmentations(declared, builtin_augmentations())
