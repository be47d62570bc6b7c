"""Files of every format with random damage: whatever happens, a user never sees another error than flownet's."""

import gzip
import io
import pickle
import struct
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image

from flownet.data.catalogue import check_splits
from flownet.data.datasets import Cifar10, CsvFile, IdxFiles, ImageFolder, Npz, OrlFaces, SegmentationFolder
from flownet.errors import FlownetError


def picture(path, kind="PNG", mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shape = (12, 10, 3) if mode == "RGB" else (12, 10)
    Image.fromarray(rng.integers(0, 256 if mode == "RGB" else 3, shape).astype(np.uint8)).save(path, kind)
    return path


def idx(root):
    (root / "y").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 4) + bytes(4))
    (root / "x").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 4, 3, 3) + bytes(range(36)))
    return root / "x", IdxFiles(images="x", labels="y")


def idx_gz(root):
    path, _ = idx(root)
    (root / "x.gz").write_bytes(gzip.compress(path.read_bytes()))
    return root / "x.gz", IdxFiles(images="x.gz", labels="y")


def cifar_python(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    batch = {b"data": np.arange(2 * 3072, dtype=np.uint16).astype(np.uint8).reshape(2, 3072), b"labels": [1, 2]}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    return folder / "data_batch_3", Cifar10()


def csv(root):
    (root / "a.csv").write_text('a,b,kind\n1,2.5,"x"\n3,4,y\n-5e3,6,x\n')
    return root / "a.csv", CsvFile(path="a.csv")


def npz(root):
    np.savez(root / "a.npz", image=np.zeros((3, 4, 4), np.uint8), label=np.array([0, 1, 2]))
    return root / "a.npz", Npz(path="a.npz")


def npz_compressed(root):
    np.savez_compressed(root / "a.npz", x=np.ones((30, 4)))
    return root / "a.npz", Npz(path="a.npz")


def npy(root):
    np.save(root / "a.npy", np.ones((3, 4), np.float32))
    return root / "a.npy", Npz(path="a.npy")


def png(root):
    return picture(root / "p/cat/1.png"), ImageFolder(path="p")


def jpeg(root):
    return picture(root / "p/cat/1.jpg", "JPEG"), ImageFolder(path="p", size=(6, 5))


def gif(root):
    return picture(root / "p/cat/1.gif", "GIF"), ImageFolder(path="p")


def tiff(root):
    return picture(root / "p/cat/1.tiff", "TIFF"), ImageFolder(path="p")


def mask(root):
    picture(root / "s/train/images/1.png")
    return picture(root / "s/train/masks/1.png", mode="L"), SegmentationFolder(path="s", classes=3)


def tar(root):
    path = root / "orl-faces/orl_faces.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for person in range(1, 41):
            for face in range(1, 11):
                content = b"P5\n92 112\n255\n" + bytes(92 * 112)
                info = tarfile.TarInfo(f"s{person}/{face}.pgm")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path, OrlFaces()


def damage(content, rng):
    """Some bytes changed, a piece cut out, a piece put in, or the end cut off."""
    data = bytearray(content)
    where = int(rng.integers(0, len(data)))
    match int(rng.integers(0, 5)):
        case 0:
            data[where] ^= 1 << int(rng.integers(0, 8))
        case 1:
            for _ in range(int(rng.integers(1, 20))):
                data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        case 2:
            del data[where : where + int(rng.integers(1, 50))]
        case 3:
            data[where:where] = rng.bytes(int(rng.integers(1, 50)))
        case 4:
            del data[where:]
    if data and rng.random() < 0.5:  # headers are where damage hurts most
        data[int(rng.integers(0, min(64, len(data))))] = int(rng.integers(0, 256))
    return bytes(data)


FORMATS = [idx, idx_gz, cifar_python, csv, npz, npz_compressed, npy, png, jpeg, gif, tiff, mask]


@pytest.mark.parametrize(
    ("make", "rounds"),
    [(make, 100) for make in FORMATS] + [(tar, 15)],
    ids=[make.__name__ for make in FORMATS] + ["tar"],
)
def test_damage_ends_in_an_error_that_names_the_file_or_in_nothing(tmp_path, make, rounds):
    path, dataset = make(tmp_path)
    check_splits(dataset.open(tmp_path))
    whole = path.read_bytes()
    told = []
    for seed in range(rounds):
        path.write_bytes(damage(whole, np.random.default_rng(seed)) if seed else b"")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's and NumPy's own remarks about damage
                check_splits(dataset.open(tmp_path))
        except FlownetError as error:
            told.append(str(error))
    assert len(told) > rounds // 10
    assert [text for text in told if path.name not in text and tmp_path.name not in text] == []
