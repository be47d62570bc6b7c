"""What the command `flownet data` says and does."""

import json
import shutil
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from flownet.data import builtin_augmentations, builtin_datasets
from flownet.data.catalogue import add_dataset, describe_dataset, list_datasets
from flownet.data.datasets import CsvFile, ImageFolder
from flownet.errors import FlownetError

INSTALLED = builtin_datasets(), builtin_augmentations()


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    for prefix, count in (("train", 3), ("t10k", 2)):
        images = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + bytes(count * 784)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(count))
    return folder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def state(root):
    return {info.name: info.state for info in list_datasets(builtin_datasets(), root)}


def test_the_list_says_what_is_there(root):
    infos = {info.name: info for info in list_datasets(builtin_datasets(), root)}
    assert set(infos) == set(builtin_datasets())
    assert infos["digits"].state == "embedded"
    assert infos["digits"].splits == {"train": 1347, "test": 450}
    assert infos["digits"].fields["image"].shape == (1, 8, 8)
    assert infos["csv"].state == "files"
    for name in ("mnist", "fashion_mnist", "cifar10", "camvid", "orl_faces"):
        assert infos[name].state == "missing"
        assert infos[name].where.parent == root
        assert infos[name].problem.code == "data-missing"
    json.dumps([info.to_json() for info in infos.values()])


def test_a_damaged_dataset_does_not_stop_the_list(root, mnist):
    shutil.copytree(mnist, root / "mnist")
    (root / "mnist/train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0")
    info = next(info for info in list_datasets(builtin_datasets(), root) if info.name == "mnist")
    assert (info.state, info.problem.code) == ("damaged", "data-truncated")


def test_a_folder_is_copied_under_the_name_of_its_dataset(root, mnist):
    info = add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root)
    assert (info.state, info.where, info.splits) == ("present", root / "mnist", {"train": 3, "test": 2})
    assert sorted(path.name for path in root.iterdir()) == ["mnist"]
    assert state(root)["mnist"] == "present"


def test_an_archive_is_unpacked(root, mnist, tmp_path):
    path = tmp_path / "mnist.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(mnist, "some-folder")
    assert add_dataset(path, {"dataset": "mnist"}, *INSTALLED, root).splits == {"train": 3, "test": 2}
    assert sorted(p.name for p in root.iterdir()) == ["mnist"]


def test_an_archive_that_leaves_its_folder_is_refused(root, tmp_path, refused):
    path = tmp_path / "evil.tar"
    (tmp_path / "payload").write_text("x")
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "payload", "../../escaped")
    with refused("data-unreadable", path):
        add_dataset(path, {"dataset": "mnist"}, *INSTALLED, root)
    assert not (tmp_path / "escaped").exists()
    assert not list(root.glob("*"))


def test_bad_files_are_not_copied(root, mnist, refused):
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\x0b\0")
    with refused("data-label-range", mnist / "t10k-labels-idx1-ubyte"):
        add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root)
    assert not root.exists()


def test_what_is_there_is_not_replaced_unasked(root, mnist, refused):
    add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root)
    with refused("data-exists", root / "mnist"):
        add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root)
    (mnist / "note.txt").write_text("new")
    add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root, replace=True)
    assert (root / "mnist/note.txt").exists()
    assert sorted(path.name for path in root.iterdir()) == ["mnist"]


def test_a_copy_that_fails_leaves_the_old_one(root, mnist, monkeypatch):
    add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(FlownetError) as caught:
        add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root, replace=True)
    assert caught.value.exit_status == 3
    assert "no space left on device" in str(caught.value)
    assert state(root)["mnist"] == "present"
    assert sorted(path.name for path in root.iterdir()) == ["mnist"]


def test_a_file_is_found_under_its_name(root, tmp_path, monkeypatch):
    (tmp_path / "flowers.csv").write_text("1,2\n3,4\n")
    info = add_dataset(tmp_path / "flowers.csv", {"dataset": "csv"}, *INSTALLED, root)
    assert info.where == root / "flowers.csv"
    info = add_dataset(tmp_path / "flowers.csv", {"dataset": "csv"}, *INSTALLED, root, name="f.csv")
    assert info.splits == {"train": 2}
    (tmp_path / "flowers.csv").unlink()
    monkeypatch.chdir(tmp_path)
    assert len(CsvFile(path="f.csv").open(root)["train"]) == 2


def test_every_image_is_read_before_a_folder_is_copied(root, tmp_path, refused):
    for k in range(3):
        path = tmp_path / f"pets/cat/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (8, 8, 3)).astype(np.uint8)).save(path)
    assert add_dataset(tmp_path / "pets", {"dataset": "image_folder"}, *INSTALLED, root).splits == {"train": 3}
    assert len(ImageFolder(path="pets").open(root)["train"]) == 3
    path.write_bytes(path.read_bytes()[:60])
    with refused("data-unreadable", path):
        add_dataset(tmp_path / "pets", {"dataset": "image_folder"}, *INSTALLED, root, name="other")
    assert not (root / "other").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden"])
def test_names_stay_in_the_folder(root, tmp_path, refused, name):
    (tmp_path / "a.csv").write_text("1,2\n")
    with refused("bad-option", name):
        add_dataset(tmp_path / "a.csv", {"dataset": "csv"}, *INSTALLED, root, name=name)


def test_other_mistakes_of_add(root, tmp_path, mnist, refused):
    with refused("data-missing", "no such file or folder"):
        add_dataset(tmp_path / "no", {"dataset": "csv"}, *INSTALLED, root)
    with refused("unknown-dataset", "did you mean `mnist`"):
        add_dataset(mnist, {"dataset": "mnits"}, *INSTALLED, root)
    with refused("bad-option", "takes no other name"):
        add_dataset(mnist, {"dataset": "mnist"}, *INSTALLED, root, name="mine")
    with refused("bad-option", "no single file or folder"):
        add_dataset(mnist, {"dataset": "digits"}, *INSTALLED, root)
    with refused("bad-option", "no single file or folder"):
        add_dataset(mnist, {"dataset": "idx", "images": "a", "labels": "b"}, *INSTALLED, root)


def test_info_of_a_users_file(root, tmp_path):
    (tmp_path / "a.csv").write_text("1,red\n2,blue\n")
    info = describe_dataset({"dataset": "csv", "path": str(tmp_path / "a.csv")}, *INSTALLED, root, check=True)
    assert info.to_json()["fields"]["label"]["classes"] == ["blue", "red"]
    info = describe_dataset({"dataset": "csv", "path": "no.csv"}, *INSTALLED, root)
    assert (info.state, info.problem.code) == ("missing", "data-missing")
