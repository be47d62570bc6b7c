"""ORL faces from an archive and from a folder, made here with one grey level a photograph."""

import io
import tarfile

import numpy as np
import pytest

from flownet.data.datasets import OrlFaces


def pgm(grey, width=92, height=112):
    return b"P5\n%d %d\n255\n" % (width, height) + bytes([grey]) * (width * height)


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "orl-faces").mkdir()
    path = tmp_path / "orl-faces" / "orl_faces.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for person in range(1, 41):
            for face in range(1, 11):
                info = tarfile.TarInfo(f"./s{person}/{face}.pgm")
                content = pgm(person * 5 + face)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return tmp_path


def check(root):
    splits = OrlFaces().open(root)
    assert {name: len(split) for name, split in splits.items()} == {"train": 360, "test": 40}
    test = splits["test"].take(np.arange(40))
    assert test["label"].tolist() == list(range(40))
    assert test["image"].shape == (40, 1, 112, 92)
    # the tenth photograph of each person, in the order of numbers, not of texts (where s10 comes before s2)
    np.testing.assert_array_equal(np.round(test["image"][:, 0, 0, 0] * 255), np.arange(1, 41) * 5 + 10)
    train = splits["train"].take(np.array([0, 1, 9]))
    np.testing.assert_array_equal(np.round(train["image"][:, 0, 5, 5] * 255), [6, 7, 11])
    assert train["label"].tolist() == [0, 0, 1]


def test_from_the_archive(archive):
    check(archive)


def test_from_a_folder(archive):
    with tarfile.open(archive / "orl-faces/orl_faces.tar.gz") as tar:
        tar.extractall(archive / "orl-faces", filter="data")
    (archive / "orl-faces/orl_faces.tar.gz").unlink()
    check(archive)


def test_more_photographs_for_testing(archive):
    splits = OrlFaces(test_faces=4).open(archive)
    assert {name: len(split) for name, split in splits.items()} == {"train": 240, "test": 160}
    assert list(OrlFaces(test_faces=0).open(archive)) == ["train"]


def test_an_archive_cut_short(archive, refused):
    path = archive / "orl-faces/orl_faces.tar.gz"
    path.write_bytes(path.read_bytes()[:2000])
    with refused("data-truncated", path):
        OrlFaces().open(archive)


def test_no_archive_at_all(archive, refused):
    path = archive / "orl-faces/orl_faces.tar.gz"
    path.write_bytes(b"<html>not found</html>" * 100)
    with refused("data-unreadable", path):
        OrlFaces().open(archive)


def test_missing_and_odd_photographs(archive, refused):
    with tarfile.open(archive / "orl-faces/orl_faces.tar.gz") as tar:
        tar.extractall(archive / "orl-faces", filter="data")
    (archive / "orl-faces/orl_faces.tar.gz").unlink()
    odd = archive / "orl-faces/s3/4.pgm"
    odd.write_bytes(pgm(0, width=91))
    with refused("data-wrong-size", "s3/4.pgm", "112 × 91"):
        OrlFaces().open(archive)
    odd.unlink()
    with refused("data-count", "lacks 1 of 400", "s3/4.pgm"):
        OrlFaces().open(archive)
