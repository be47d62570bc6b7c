"""CIFAR-10's two layouts in files made by hand."""

import pickle

import numpy as np
import pytest

from flownet.data.datasets import Cifar10

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def record(label, red, green, blue):
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


@pytest.fixture
def binary(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(record(i, 255, 0, i) + record(0, 1, 2, 3))
    (folder / "test_batch.bin").write_bytes(record(9, 0, 51, 102))
    return tmp_path


def python_batch(rows):
    data = np.frombuffer(b"".join(r[1:] for r in rows), np.uint8).reshape(len(rows), 3072)
    return {"batch_label": "1", "labels": [r[0] for r in rows], "data": data, "filenames": ["a.png"] * len(rows)}


def test_binary_records_are_label_then_red_green_blue_planes(binary):
    splits = Cifar10().open(binary)
    assert {name: len(split) for name, split in splits.items()} == {"train": 10, "test": 1}
    batch = splits["train"].take(np.array([4, 9]))  # the first of batch 3, the second of batch 5
    assert batch["label"].tolist() == [3, 0]
    assert batch["image"].shape == (2, 3, 32, 32)
    np.testing.assert_array_equal(batch["image"][0, :, 5, 7], np.float32([1, 0, 3 / 255]))
    np.testing.assert_array_equal(splits["test"].take(np.array([0]))["image"][0, :, 0, 0], np.float32([0, 0.2, 0.4]))
    assert splits["train"].fields["label"].classes == CLASSES


def test_a_pixel_lies_row_by_row(binary):
    body = bytearray(record(0, 0, 0, 0))
    body[1 + 1024 + 2 * 32 + 5] = 255  # green, row 2, column 5
    (binary / "cifar-10-batches-bin/test_batch.bin").write_bytes(body)
    image = Cifar10().open(binary)["test"].take(np.array([0]))["image"]
    assert np.argwhere(image).tolist() == [[0, 1, 2, 5]]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_python_version_reads_the_same(tmp_path, binary, protocol):
    other = tmp_path / "py"
    folder = other / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for path in (binary / "cifar-10-batches-bin").glob("*.bin"):
        content = path.read_bytes()
        rows = [content[i : i + 3073] for i in range(0, len(content), 3073)]
        (folder / path.stem).write_bytes(pickle.dumps(python_batch(rows), protocol))
    from_bin, from_py = Cifar10().open(binary), Cifar10().open(other)
    for split in ("train", "test"):
        every = np.arange(len(from_bin[split]))
        for name, array in from_bin[split].take(every).items():
            np.testing.assert_array_equal(array, from_py[split].take(every)[name])


def test_a_pickle_as_python_2_wrote_it(tmp_path, binary):
    # protocol 2 with byte strings for keys and buffer, and the old name of NumPy's module, opcode by opcode
    folder = tmp_path / "old" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = bytes(range(256)) * 12
    content = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T\x00\x0c\x00\x00" + pixels + b"tbU\x06labels](K\x07eu."
    )
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(content)
    test = Cifar10().open(tmp_path / "old")["test"].take(np.array([0]))
    assert test["label"].tolist() == [7]
    np.testing.assert_array_equal(np.round(test["image"][0, 0, 0, :4] * 255), [0, 1, 2, 3])


def test_a_record_cut_short(binary, refused):
    path = binary / "cifar-10-batches-bin/data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:5000])
    with refused("data-truncated", path, "records of 3073 bytes", "5000 bytes", "1927 over 1 records"):
        Cifar10().open(binary)


def test_an_empty_batch(binary, refused):
    path = binary / "cifar-10-batches-bin/data_batch_2.bin"
    path.write_bytes(b"")
    with refused("data-empty", path):
        Cifar10().open(binary)


def test_a_missing_batch_is_named(binary, refused):
    (binary / "cifar-10-batches-bin/data_batch_4.bin").unlink()
    with refused("data-missing", "data_batch_4.bin", binary / "cifar-10-batches-bin", "cs.toronto.edu"):
        Cifar10().open(binary)


def test_a_label_out_of_range_names_its_file(binary, refused):
    path = binary / "cifar-10-batches-bin/data_batch_5.bin"
    path.write_bytes(record(0, 0, 0, 0) + record(99, 0, 0, 0))
    with refused("data-label-range", path, "class 99 in record 1", "expected 0 to 9"):
        Cifar10().open(binary)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda b: b.pop("labels"), "data-field", "no `labels`"),
        (lambda b: b.update(data=b["data"].astype(np.float32)), "data-wrong-size", "float32[1, 3072]"),
        (lambda b: b.update(data=b["data"][:, :100]), "data-wrong-size", "uint8[1, 100]"),
        (lambda b: b.update(labels=[1, 2]), "data-count", "1 images"),
        (lambda b: b.update(labels=["cat"]), "data-field", "whole numbers"),
        (lambda b: b.update(labels=[-1]), "data-label-range", "class -1"),
    ],
)
def test_a_pickle_with_other_contents(tmp_path, refused, change, code, text):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    good = python_batch([record(1, 0, 0, 0)])
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps(good))
    bad = dict(good)
    change(bad)
    (folder / "test_batch").write_bytes(pickle.dumps(bad))
    with refused(code, folder / "test_batch", text):
        Cifar10().open(tmp_path)
