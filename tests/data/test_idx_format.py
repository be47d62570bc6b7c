"""IDX files made byte by byte, right ones and each way of being wrong."""

import gzip
import struct

import numpy as np
import pytest

from flownet.data.datasets import IdxFiles, Mnist
from flownet.data.formats.idx import read_idx


def write(path, magic, sizes, body):
    content = magic + b"".join(struct.pack(">I", size) for size in sizes) + body
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_the_sizes_come_first_and_the_last_index_runs_fastest(tmp_path, name):
    path = write(tmp_path / name, b"\0\0\x08\x03", (2, 2, 3), bytes(range(12)))
    assert read_idx(path).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


@pytest.mark.parametrize(
    ("code", "body", "values"),
    [
        (0x09, b"\xff\x01", [-1, 1]),
        (0x0B, b"\xff\xfe\x01\x00", [-2, 256]),
        (0x0C, b"\0\0\0\x01\x00\x01\0\0", [1, 65536]),
        (0x0D, b"\x3f\x80\0\0\xc0\0\0\0", [1.0, -2.0]),
        (0x0E, b"\x3f\xf0\0\0\0\0\0\0\xbf\xe0\0\0\0\0\0\0", [1.0, -0.5]),
    ],
)
def test_every_type_is_big_endian(tmp_path, code, body, values):
    assert read_idx(write(tmp_path / "a", bytes([0, 0, code, 1]), (2,), body)).tolist() == values


def test_a_plain_file_is_mapped_and_not_read(tmp_path):
    assert isinstance(read_idx(write(tmp_path / "a", b"\0\0\x08\x01", (3,), b"abc")), np.memmap)


def test_labels_given_as_images_are_told_by_their_magic_number(tmp_path, refused):
    path = write(tmp_path / "train-images", b"\0\0\x08\x01", (3,), b"abc")
    with refused("data-wrong-magic", path, "00 00 08 01 (labels)", "00 00 08 03 (images)", "exchanged"):
        read_idx(path, (3,))


def test_another_format_is_told_by_its_first_bytes(tmp_path, refused):
    path = tmp_path / "a"
    path.write_bytes(b"\x89PNG....")
    with refused("data-wrong-magic", path, "89 50 4e 47"):
        read_idx(path)


def test_gzip_without_its_ending_is_recognised(tmp_path, refused):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x01a"))
    with refused("data-wrong-magic", "its name lacks the `.gz`"):
        read_idx(path)


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_missing_bytes_are_counted(tmp_path, refused, name):
    path = write(tmp_path / name, b"\0\0\x08\x03", (2, 2, 3), bytes(11))
    with refused("data-truncated", path, "28 bytes for 2 × 2 × 3 values", "found 27"):
        read_idx(path)


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_bytes_too_many_are_an_error(tmp_path, refused, name):
    path = write(tmp_path / name, b"\0\0\x08\x03", (2, 2, 3), bytes(13))
    with refused("data-wrong-size", path, "28 bytes"):
        read_idx(path)


def test_a_gzip_stream_cut_short_is_truncated(tmp_path, refused):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "a.gz", b"\0\0\x08\x01", (5000,), rng.bytes(5000))
    path.write_bytes(path.read_bytes()[:3000])
    with refused("data-truncated", path, "gzip", "3000 bytes"):
        read_idx(path)


def test_a_damaged_gzip_stream_is_unreadable(tmp_path, refused):
    path = write(tmp_path / "a.gz", b"\0\0\x08\x01", (5000,), np.random.default_rng(0).bytes(5000))
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF
    path.write_bytes(content)
    with refused("data-unreadable", path):
        read_idx(path)


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_a_header_that_promises_terabytes_allocates_nothing(tmp_path, refused, name):
    path = write(tmp_path / name, b"\0\0\x08\x03", (2**31, 2**10, 2**10), b"abc")
    with refused("data-truncated", path):
        read_idx(path)


@pytest.mark.parametrize(("content", "code"), [(b"", "data-empty"), (b"\0\0\x08", "data-truncated")])
def test_files_shorter_than_a_magic_number(tmp_path, refused, content, code):
    path = tmp_path / "a"
    path.write_bytes(content)
    with refused(code, path):
        read_idx(path)


def test_a_header_cut_short(tmp_path, refused):
    path = write(tmp_path / "a", b"\0\0\x08\x03", (2, 2), b"")
    with refused("data-truncated", path, "16 bytes of header", "12 bytes"):
        read_idx(path)


def test_no_images_is_empty(tmp_path, refused):
    path = write(tmp_path / "a", b"\0\0\x08\x03", (0, 28, 28), b"")
    with refused("data-empty", path, "[0, 28, 28]"):
        read_idx(path)


@pytest.fixture
def mnist_like(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for prefix, count in (("train", 3), ("t10k", 2)):
        write(folder / f"{prefix}-images-idx3-ubyte.gz", b"\0\0\x08\x03", (count, 28, 28), bytes([255]) * count * 784)
        write(folder / f"{prefix}-labels-idx1-ubyte", b"\0\0\x08\x01", (count,), bytes([7, 0, 9][:count]))
    return tmp_path


def test_mnist_from_four_files(mnist_like):
    splits = Mnist().open(mnist_like)
    batch = splits["train"].take(np.array([2, 0]))
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "test": 2}
    assert batch["label"].tolist() == [9, 7]
    assert batch["label"].dtype == np.int32
    assert batch["image"].shape == (2, 1, 28, 28)
    assert batch["image"].dtype == np.float32
    assert batch["image"].min() == batch["image"].max() == 1.0


def test_mnist_missing_says_where_and_how(tmp_path, refused):
    with refused(
        "data-missing", tmp_path / "mnist", "train-images-idx3-ubyte", "flownet data add mnist", "FLOWNET_DATA"
    ):
        Mnist().open(tmp_path)


def test_mnist_with_fewer_labels_than_images(mnist_like, refused):
    write(mnist_like / "mnist/train-labels-idx1-ubyte", b"\0\0\x08\x01", (2,), b"\0\1")
    with refused("data-count", "3 of `image`", "2 of `label`", "train-labels-idx1-ubyte"):
        Mnist().open(mnist_like)


def test_mnist_with_a_label_out_of_range(mnist_like, refused):
    write(mnist_like / "mnist/t10k-labels-idx1-ubyte", b"\0\0\x08\x01", (2,), b"\3\x0a")
    with refused("data-label-range", "t10k-labels-idx1-ubyte", "holds class 10, expected 0 to 9", "example 1"):
        Mnist().open(mnist_like)


def test_mnist_with_images_of_another_size(mnist_like, refused):
    write(mnist_like / "mnist/t10k-images-idx3-ubyte.gz", b"\0\0\x08\x03", (2, 20, 20), bytes(800))
    with refused("data-wrong-size", "20 × 20", "28 × 28", "dataset: idx"):
        Mnist().open(mnist_like)


def test_any_idx_files_with_channels_and_class_names(tmp_path):
    write(tmp_path / "x", b"\0\0\x08\x04", (2, 2, 1, 2), bytes([0, 51, 102, 153, 204, 255, 0, 0]))
    write(tmp_path / "y", b"\0\0\x08\x01", (2,), b"\1\0")
    train = IdxFiles(images="x", labels="y", classes=("no", "yes")).open(tmp_path)["train"]
    assert train.fields["image"].shape == (2, 1, 2)
    assert train.fields["label"].classes == ("no", "yes")
    np.testing.assert_array_equal(
        train.take(np.array([0, 1]))["image"],
        np.float32([[[[0, 0.2]], [[0.4, 0.6]]], [[[0.8, 1]], [[0, 0]]]]),
    )


def test_idx_labels_that_would_be_millions_of_classes(tmp_path, refused):
    write(tmp_path / "x", b"\0\0\x08\x03", (1, 1, 1), b"a")
    write(tmp_path / "y", b"\0\0\x0c\x01", (1,), b"\x7f\xff\xff\xff")
    with refused("data-label-range", tmp_path / "y", "2147483648 classes"):
        IdxFiles(images="x", labels="y").open(tmp_path)
