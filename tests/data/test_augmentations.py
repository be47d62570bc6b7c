"""Each augmentation against a loop that does it pixel by pixel, and what all of them promise."""

import numpy as np
import pytest

from flownet.data.augmentation import augment, read_augmentations
from flownet.data.augmentations import Crop, Flip, Shift, Zoom, builtin_augmentations
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


WHOLE_PIXELS = [
    Flip(),
    Flip(axis="vertical", probability=1.0),
    Shift(pixels=2),
    Shift(pixels=1, fill="edge"),
    Crop(size=(4, 3)),
    Crop(size=5, padding=2),
    Crop(size=(5, 7), padding=1, fill="edge"),
]
AUGMENTATIONS = [*WHOLE_PIXELS, Zoom(factor=(0.5, 2.0)), Zoom(factor=1.5), Zoom(factor=0.7, fill="edge")]


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


@pytest.mark.parametrize("augmentation", WHOLE_PIXELS, ids=repr)
def test_the_mask_goes_with_its_image(augmentation, batch):
    out = run(augmentation, batch)
    known = out["mask"] != 255
    assert known.any()
    np.testing.assert_array_equal(out["mask"][known], (out["image"][:, 0] * 3).astype(np.int32)[known])
    assert (out["image"][:, 0][~known] == 0).all()


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


def coordinates(count):
    """Images whose two channels are their pixels' row and column, and masks that number their pixels: what an
    augmentation shows says where it looked."""
    rows, columns = np.mgrid[0:20, 0:30]
    image = np.stack([rows, columns]).astype(np.float32)
    fields = {
        "image": Field(DType.float32, (2, 20, 30), "image"),
        "mask": Field(DType.int32, (20, 30), "mask", tuple("abc"), ignore=-1),
    }
    return {
        "image": np.stack([image] * count),
        "mask": np.stack([rows * 30 + columns] * count).astype(np.int32),
    }, fields


@pytest.mark.parametrize("factor", [1.25, 2.0, 3.5])
def test_a_larger_image_is_seen_between_its_pixels(factor):
    batch, fields = coordinates(200)
    out = Zoom(factor=factor).apply(batch, fields, Draws(0, 0, 0, 200))
    rows, columns = out["image"][:, 0], out["image"][:, 1]
    # linear interpolation is exact for coordinates: they rise by 1 / factor a pixel, except where they stop at the border
    np.testing.assert_allclose(np.diff(rows[:, 5:-5, 0]), 1 / factor, rtol=1e-4)
    np.testing.assert_allclose(np.diff(columns[:, 0, 5:-5]), 1 / factor, rtol=1e-4)
    assert rows.min() >= 0
    assert rows.max() <= 19
    # every place is as likely: the middle of the window is half-way between both ends on average, and goes to both
    middle = columns[:, 0, 14:16].mean(1)
    room = (30 - 30 / factor) / 2
    assert abs(middle.mean() - 14.5) < 4 * room / np.sqrt(3 * 200)
    assert middle.min() < 14.5 - 0.9 * room
    assert middle.max() > 14.5 + 0.9 * room


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.7])
def test_a_mask_takes_the_pixel_nearest_to_where_the_image_looks(factor):
    batch, fields = coordinates(50)
    out = Zoom(factor=factor, fill=-7.0).apply(batch, fields, Draws(1, 0, 0, 50))
    rows, columns, mask = out["image"][:, 0], out["image"][:, 1], out["mask"]
    known = mask >= 0
    np.testing.assert_array_equal(known, rows != -7)
    assert (np.abs(mask[known] // 30 - rows[known]) <= 0.5 + 1e-5).all()
    assert (np.abs(mask[known] % 30 - columns[known]) <= 0.5 + 1e-5).all()
    # a smaller picture is seen whole: the share of known pixels is its area, to a row and a column of pixels
    share = min(factor, 1.0) ** 2
    np.testing.assert_allclose(known.mean((1, 2)), share, atol=share * (1 / 20 + 1 / 30) / min(factor, 1.0))
    if factor == 1:
        np.testing.assert_array_equal(mask, batch["mask"])


def test_halving_is_as_likely_as_doubling():
    batch, fields = coordinates(2000)
    out = Zoom(factor=(0.5, 2.0), fill="edge").apply(batch, fields, Draws(2, 0, 0, 2000))["image"][:, 1, 0]
    larger = np.diff(out)[:, 14] < 1
    assert abs(larger.mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)


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
    with refused("data-field", "`zoom`", "fill: edge"):
        Zoom(factor=0.9).fields_after(fields)
    Zoom(factor=1.1).fields_after(fields)


def test_what_cannot_be_done_is_said_before_training(refused):
    with refused("data-field", "`flip` needs an image", "`label`"):
        Flip().fields_after({"label": FIELDS["label"]})
    with refused("data-field", "[9, 9] is larger than `image`, [7, 9]"):
        Crop(size=9, padding=1).fields_after(FIELDS)
    with refused("data-field", "out of sight"):
        Shift(pixels=5).fields_after(FIELDS)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Flip(probability=1.5),
        lambda: Shift(pixels=0),
        lambda: Crop(size=0),
        lambda: Crop(size=2, padding=-1),
        lambda: Zoom(factor=0.0),
        lambda: Zoom(factor=(2.0, 1.0)),
        lambda: Zoom(factor=float("inf")),
    ],
)
def test_values_out_of_range(refused, wrong):
    with refused("bad-option"):
        wrong()


def test_the_three_ways_to_write_one():
    declared = [
        "flip",
        {"shift": 2},
        {"crop": {"size": 32, "padding": 4}},
        {"crop": {"size": [3, 4]}},
        {"flip": None},
        {"zoom": [0.5, 2]},
    ]
    assert read_augmentations(declared, builtin_augmentations()) == (
        Flip(),
        Shift(pixels=2),
        Crop(size=32, padding=4),
        Crop(size=(3, 4)),
        Flip(),
        Zoom(factor=(0.5, 2.0)),
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
