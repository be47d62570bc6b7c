"""`flownet data`: list, info, add, sheet."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flownet.language import check
from tests.cli.conftest import document


def test_list_says_what_is_there(run) -> None:
    found = {d["name"]: d for d in document(run("data", "list", "--json"))["datasets"]}
    assert found["digits"]["state"] == "embedded"
    assert found["digits"]["splits"] == {"train": 1347, "test": 450}
    assert found["mnist"]["state"] == "missing"
    text = run("data", "list").stdout
    assert "digits" in text
    assert "FLOWNET_DATA is not set" in text


def test_info_gives_fields_classes_and_options(run) -> None:
    result = run("data", "info", "digits", "--check")
    assert result.exit_code == 0
    for part in ("float32[N, 1, 8, 8]", "CC BY 4.0", "every example was read", "validation", "standardise"):
        assert part in result.stdout
    assert document(run("data", "info", "digits", "--json"))["fields"]["label"]["classes"] == list("0123456789")


@pytest.mark.parametrize("name", ["csv", "npz", "idx", "image_folder", "segmentation_folder"])
def test_info_of_a_dataset_of_the_user_s_files_says_what_can_be_given(run, name: str) -> None:
    result = run("data", "info", name)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"data: {{dataset: {name}, " in result.stdout
    for foreign in ("int |", "tuple", "str", "Literal", "None", "Moments"):
        assert foreign not in result.stdout.replace("stretch", "").replace("streets", "")
    options = {option["name"]: option for option in document(run("data", "info", name, "--json"))["options"]}
    assert options["limit"]["type"] == "whole number"
    assert all(option["meaning"] for option in options.values())
    # the example is an entry that the language takes: only its files are missing
    entry = document(run("data", "info", name, "--json"))["example"]
    net = "inputs: {x: 'float32[N, 4]'}\nnodes:\n  - dense: {name: s, units: 2}\n"
    section = f"train:\n  {entry}\n  loss: {{cross_entropy: {{in: [s, y]}}}}\n  optimizer: sgd\n"
    assert {d.code for d in check(net + section)[1]} == {"data-missing"}


def test_info_of_some_options_names_those_that_are_missing(run) -> None:
    result = run("data", "info", "csv", "-O", "target=kind")
    assert result.exit_code == 1
    assert "dataset `csv` needs the option `path`" in result.stderr


def test_info_of_what_is_missing_says_where_it_was_sought(run, tmp_path: Path) -> None:
    result = run("data", "info", "mnist", "--data-dir", tmp_path / "data")
    assert result.exit_code == 1
    assert str(tmp_path / "data") in result.stderr


def test_options_are_read_as_yaml(run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n")
    found = document(
        run("data", "info", "csv", "-O", f"path={tmp_path / 't.csv'}", "-O", "target=kind", "-O", "limit=3", "--json")
    )
    assert sum(found["splits"].values()) <= 4
    assert found["fields"]["label"]["classes"] == ["x", "y"]
    assert run("data", "info", "csv", "-O", "path").exit_code == 2


def test_a_misspelt_dataset_has_near_names(run) -> None:
    result = run("data", "info", "mnits")
    assert result.exit_code == 1
    assert "did you mean `mnist`?" in result.stderr


def idx(folder: Path, images: str, labels: str, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    (folder / images).write_bytes(gzip.compress(struct.pack(">IIII", 0x803, count, 28, 28) + pixels.tobytes()))
    digits = (np.arange(count) % 10).astype(np.uint8)
    (folder / labels).write_bytes(gzip.compress(struct.pack(">II", 0x801, count) + digits.tobytes()))


def test_add_copies_and_the_dataset_is_there(run, tmp_path: Path) -> None:
    origin, root = tmp_path / "download", tmp_path / "root"
    origin.mkdir()
    idx(origin, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 30)
    idx(origin, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 10)
    result = run("data", "add", "mnist", origin, "--data-dir", root)
    assert result.exit_code == 0, result.stderr
    assert "train 30, test 10" in result.stdout
    assert document(run("data", "info", "mnist", "--data-dir", root, "--json"))["state"] == "present"
    again = run("data", "add", "mnist", origin, "--data-dir", root)
    assert again.exit_code == 1
    assert "data-exists" in again.stderr
    assert run("data", "add", "mnist", origin, "--data-dir", root, "--replace").exit_code == 0


def test_add_refuses_damaged_data_and_copies_nothing(run, tmp_path: Path) -> None:
    origin, root = tmp_path / "download", tmp_path / "root"
    origin.mkdir()
    idx(origin, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 30)
    (origin / "train-labels-idx1-ubyte.gz").write_bytes(b"nothing")
    idx(origin, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 10)
    result = run("data", "add", "mnist", origin, "--data-dir", root)
    assert result.exit_code == 1
    assert "train-labels-idx1-ubyte.gz" in result.stderr
    assert not (root / "mnist").exists()


def test_sheet_is_a_picture_of_the_samples(run, tmp_path: Path) -> None:
    result = run("data", "sheet", "digits", "-o", tmp_path / "d.png", "--count", 6, "--columns", 3)
    assert result.exit_code == 0
    with Image.open(tmp_path / "d.png") as image:
        assert image.width > 150
        assert image.height < image.width
    wrong = run("data", "sheet", "digits", "--split", "tset")
    assert wrong.exit_code == 1
    assert "did you mean `test`?" in wrong.stderr
