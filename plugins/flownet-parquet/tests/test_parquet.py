"""Files written here as Hugging Face writes them, read back through the dataset, whole and damaged."""

from __future__ import annotations

import io
import json
from pathlib import Path

import flownet_parquet
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

import flownet
from flownet.network import load, train
from flownet.registry import Registry

CLASSES = ["cat", "dog", "emu"]


def png(pixels: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "png")
    return held.getvalue()


def pictures(count: int, seed: int, shape: tuple[int, ...] = (4, 5)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, *shape), dtype=np.uint8), generator.integers(0, 3, count)


def write(path: Path, images: np.ndarray, labels: np.ndarray, rows: int = 4) -> None:
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
    schema = pyarrow.schema(
        [
            ("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
            ("label", pyarrow.int64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    cells = [{"bytes": png(image), "path": None} for image in images]
    table = pyarrow.table({"image": cells, "label": labels.tolist()}, schema=schema)
    pyarrow.parquet.write_table(table, path, row_group_size=rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first, second, test = pictures(10, 0), pictures(7, 1), pictures(5, 2)
    write(tmp_path / "train-00000-of-00002.parquet", *first)
    write(tmp_path / "train-00001-of-00002.parquet", *second)
    write(tmp_path / "test-00000-of-00001.parquet", *test)
    return tmp_path


def opened(path: Path, **options):
    return flownet_parquet.Parquet(path=str(path), **{"channels": 1, **options}).open()


def test_splits_fields_and_class_names(folder: Path) -> None:
    splits = opened(folder)
    assert {name: len(split) for name, split in splits.items()} == {"train": 17, "test": 5}
    fields = splits["train"].fields
    assert str(fields["image"].type()) == "float32[N, 1, 4, 5]"
    assert fields["label"].classes == ("cat", "dog", "emu")


def test_rows_come_in_the_order_that_was_asked_for(folder: Path) -> None:
    images = np.concatenate([pictures(10, 0)[0], pictures(7, 1)[0]])
    labels = np.concatenate([pictures(10, 0)[1], pictures(7, 1)[1]])
    indices = np.array([16, 0, 9, 10, 3, 3, 11])
    batch = opened(folder)["train"].take(indices)
    np.testing.assert_array_equal(batch["image"], images[indices][:, None].astype(np.float32) / np.float32(255))
    assert batch["label"].tolist() == labels[indices].tolist()
    assert batch["label"].dtype == np.int32


def test_a_cache_of_nothing_gives_the_same(folder: Path) -> None:
    whole, streamed = opened(folder)["train"], opened(folder, cache_mib=0)["train"]
    order = np.random.default_rng(3).permutation(17)
    np.testing.assert_array_equal(whole.take(order)["image"], streamed.take(order)["image"])
    assert len(streamed.table._cache) == 1
    assert len(whole.table._cache) == 5  # 3 row groups of 4 in one file and 2 in the other


def test_opening_reads_one_row_group_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = pyarrow.parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        pyarrow.parquet.ParquetFile,
        "read_row_group",
        lambda self, group, **options: read.append(group) or real(self, group, **options),
    )
    splits = opened(folder)
    assert read == [0]  # for the size of the pictures
    splits["train"].take(np.array([0, 5]))
    assert read == [0, 0, 1] or read == [0, 1]


def test_colour_and_size(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", *pictures(3, 5, (6, 9, 3)))
    batch = opened(tmp_path, channels=3, size=(4, 4))["train"].take(np.arange(3))
    assert batch["image"].shape == (3, 3, 4, 4)


def test_tables_of_numbers(tmp_path: Path) -> None:
    table = pyarrow.table({"a": [0.5, 1.5], "v": [[1.0, 2.0], [3.0, 4.0]], "kind": ["y", "x"]})
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    split = opened(tmp_path / "data.parquet", image="none", label="kind", columns=("a", "v"))["train"]
    batch = split.take(np.array([1, 0]))
    assert batch["a"].tolist() == [1.5, 0.5]
    assert batch["v"].tolist() == [[3, 4], [1, 2]]
    assert batch["label"].tolist() == [0, 1]
    assert split.fields["label"].classes == ("x", "y")


def test_a_network_trains_on_it(folder: Path, tmp_path: Path) -> None:
    registry = Registry(entry_points=False)
    registry.register(flownet_parquet, "flownet-parquet")
    graph = {
        "flownet": 1,
        "inputs": {"image": "float32[N, 1, 4, 5]"},
        "nodes": ["flatten", {"dense": {"units": 3, "name": "scores"}}],
        "train": {
            "data": {"dataset": "parquet", "path": str(folder), "channels": 1},
            "loss": {"cross_entropy": {"in": ["scores", "label"]}},
            "optimizer": {"sgd": {"learning_rate": 0.5}},
            "batch": 8,
            "epochs": 60,
        },
    }
    losses: list[float] = []
    net = load(graph, device="cpu", registry=registry)
    train(
        net,
        folder=tmp_path / "run",
        callback=lambda progress: losses.append(progress.loss) if progress.kind == "epoch" else None,
    )
    assert losses[-1] < 0.3 * losses[0]  # 17 random pictures of 20 pixels can be learnt by heart


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "data-unreadable", "no Parquet file"),
        (lambda path: path.write_text("hello"), "data-unreadable", "no Parquet file"),
        (
            lambda path: write(path, *pictures(2, 0, (3, 3))),
            "data-wrong-size",
            "row 0: the picture is [3, 3], the first one [4, 5]",
        ),
    ],
)
def test_damaged_files(folder: Path, damage, code: str, says: str) -> None:
    damage(folder / "train-00001-of-00002.parquet")
    with pytest.raises(flownet.FlownetError) as caught:
        opened(folder)["train"].take(np.arange(11))
    assert caught.value.diagnostics[0].code == code
    assert says in caught.value.diagnostics[0].message
    assert "train-00001-of-00002.parquet" in caught.value.diagnostics[0].message


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    table = pyarrow.table({"image": [png(np.zeros((2, 2), np.uint8)), b"not a picture"], "label": [0, 1]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(flownet.FlownetError, match=r"train.parquet, row 1"):
        opened(tmp_path)["train"].take(np.array([0, 1]))


def test_a_misnamed_column(folder: Path) -> None:
    with pytest.raises(flownet.FlownetError) as caught:
        opened(folder, label="klass")
    assert caught.value.diagnostics[0].notes == ("its columns are `image`, `label`",)


def test_only_a_test_split(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", *pictures(3, 5))
    with pytest.raises(flownet.FlownetError, match="no files to train on"):
        opened(tmp_path)
