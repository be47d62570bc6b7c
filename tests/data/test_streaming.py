"""Datasets larger than memory, and masks that stay with their images from file to batch."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flownet.data.augmentations import Crop, Flip, Shift, Zoom
from flownet.data.batches import Batches
from flownet.data.datasets import SegmentationFolder
from flownet.data.decoded import DecodedSplit
from flownet.data.split import Field
from flownet.types import DType

SIDE, COUNT, BATCH = 256, 1_000_000, 16


def test_a_dataset_larger_than_memory_streams():
    decoded = []

    def decode(index):
        decoded.append(index)
        return {"image": np.full((3, SIDE, SIDE), index % 256, np.uint8)}

    fields = {"image": Field(DType.float32, (3, SIDE, SIDE), "image", range=(0, 1))}
    split = DecodedSplit(
        COUNT, decode, fields, files={"image": [Path("here.png")] * COUNT}, stored={"image": np.uint8}
    )  # 183 GiB of bytes, 732 GiB of numbers
    batches = Batches(split, BATCH, seed=4, augment=[Flip(), Crop(size=224)], ahead=3)
    tracemalloc.start()
    try:
        seen = [batch["image"][:, 0, 0, 0] * 255 for batch in itertools.islice(batches.epoch(0), 40)]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    order = batches.order(0)
    np.testing.assert_allclose(np.concatenate(seen), order[: 40 * BATCH] % 256, rtol=1e-5)
    assert len(decoded) <= (40 + 4) * BATCH  # what was asked for, and what lies ready
    batch_bytes = BATCH * 3 * SIDE * SIDE * 4
    assert most < 10 * batch_bytes + 4 * order.nbytes  # a few batches under way, and the order of the epoch


@pytest.mark.parametrize("cache_mib", [0, 64])
def test_a_mask_stays_with_its_image_from_the_files_to_the_batch(tmp_path, cache_mib):
    rng = np.random.default_rng(0)
    (tmp_path / "street/train/images").mkdir(parents=True)
    (tmp_path / "street/train/masks").mkdir()
    for k in range(12):
        mask = np.kron(rng.integers(0, 5, (4, 6)), np.ones((6, 6), int)).astype(np.uint8)  # squares of a class each
        Image.fromarray(np.stack([mask * 50] * 3, -1)).save(tmp_path / f"street/train/images/{k}.png")
        Image.fromarray(mask).save(tmp_path / f"street/train/masks/{k}.png")
    data = SegmentationFolder(path="street", classes=5, ignore=255, cache_mib=cache_mib).open(tmp_path)["train"]
    augmentations = [Zoom(factor=(0.6, 2.0)), Flip(), Shift(pixels=3), Crop(size=(20, 30))]
    batches = Batches(data, 4, seed=1, augment=augmentations)
    agreeing, known = 0, 0
    for epoch in range(2):
        for batch in batches.epoch(epoch):
            assert batch["image"].shape[1:] == (3, 20, 30)
            labelled = batch["mask"] != 255
            shown = batch["image"][:, 0] * 255 / 50  # the class, except where zoom mixes two squares at their border
            agreeing += (np.abs(shown - batch["mask"])[labelled] < 1e-3).sum()
            known += labelled.sum()
    # a border touches at most two pixels in six each way, less where two squares have one class
    assert agreeing > 0.6 * known
    assert known > 0.5 * 24 * 20 * 30
