"""The real datasets, where they are: counts and statistics that others have published."""

import hashlib

import numpy as np

from flownet.data.datasets import CamVid, Cifar10, FashionMnist, Mnist, OrlFaces
from flownet.data.preparation import moments_of


def labels(split):
    return np.concatenate(
        [split.take(np.arange(i, min(i + 1000, len(split))))["label"] for i in range(0, len(split), 1000)]
    )


def test_mnist(real):
    splits = Mnist().open(real("mnist"))
    # the counts of each digit that LeCun's files are known for
    assert np.bincount(labels(splits["train"])).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    assert np.bincount(labels(splits["test"])).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert splits["train"].take(np.arange(5))["label"].tolist() == [5, 0, 4, 1, 9]
    moments = moments_of(splits["train"], ["image"])["image"]
    assert (round(moments.mean[0], 4), round(moments.std[0], 4)) == (0.1307, 0.3081)


def test_fashion_mnist(real):
    splits = FashionMnist().open(real("fashion-mnist"))
    assert np.bincount(labels(splits["train"])).tolist() == [6000] * 10
    assert np.bincount(labels(splits["test"])).tolist() == [1000] * 10
    assert splits["train"].fields["label"].classes[labels(splits["test"])[0]] == "ankle boot"
    moments = moments_of(splits["train"], ["image"])["image"]
    assert (round(moments.mean[0], 4), round(moments.std[0], 4)) == (0.2860, 0.3530)


def test_cifar10(real):
    root = real("cifar-10-batches-bin")
    md5 = hashlib.md5((root / "cifar-10-batches-bin/test_batch.bin").read_bytes()).hexdigest()
    assert md5 == "803d5f7f4d78ea53de84dbe85f74fb6d"  # the official release's
    splits = Cifar10().open(root)
    assert np.bincount(labels(splits["train"])).tolist() == [5000] * 10
    assert np.bincount(labels(splits["test"])).tolist() == [1000] * 10
    moments = moments_of(splits["train"], ["image"])["image"]
    assert [round(m, 4) for m in moments.mean] == [0.4914, 0.4822, 0.4465]
    assert [round(s, 4) for s in moments.std] == [0.2470, 0.2435, 0.2616]


def test_camvid(real):
    splits = CamVid().open(real("camvid"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 367, "validation": 101, "test": 233}
    batch = splits["test"].take(np.arange(0, 233, 40))
    assert batch["image"].shape == (6, 3, 180, 240)
    assert set(np.unique(batch["mask"])) <= set(range(12))
    # roads are grey and lie below, skies are bright and lie above
    rows = np.arange(180)[None, :, None]
    road, sky = batch["mask"] == 3, batch["mask"] == 0
    assert (road * rows).sum() / road.sum() > 110
    assert (sky * rows).sum() / sky.sum() < 60
    assert batch["image"].mean(axis=1)[sky].mean() > batch["image"].mean(axis=1)[road].mean()


def test_orl_faces(real):
    splits = OrlFaces().open(real("orl-faces"))
    faces = splits["train"].take(np.arange(360))
    assert np.bincount(faces["label"]).tolist() == [9] * 40
    # a face is most like another of the same person: nearest neighbours are right for almost all of the test's
    test = splits["test"].take(np.arange(40))
    flat, other = faces["image"].reshape(360, -1), test["image"].reshape(40, -1)
    nearest = ((other**2).sum(1)[:, None] - 2 * other @ flat.T + (flat**2).sum(1)).argmin(1)
    assert (faces["label"][nearest] == test["label"]).mean() > 0.9
