"""`flownet run`: files in, files out; nothing is scaled, cut or converted unless it was asked for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flownet
from tests.cli.conftest import document

IMAGES = """\
inputs: {image: "float32[N, 1, 6, 4]"}
nodes:
  - flatten
  - dense: {units: 3, name: y}
outputs: [y]
"""
TWO = """\
inputs: {a: "float32[N, 2]", b: "float32[N, 2]"}
nodes:
  - add: {in: [a, b], name: y}
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images.yaml").write_text(IMAGES)
    flownet.load(tmp_path / "images.yaml", device="cpu", seed=1).save(tmp_path / "w.safetensors")
    return tmp_path / "images.yaml"


@pytest.fixture
def call(run, images: Path):
    """`flownet run` of the picture network with its weights."""

    def called(*arguments: object):
        return run("run", images, "--weights", "w.safetensors", "--device", "cpu", *arguments)

    return called


def expected(images: Path, pixels: np.ndarray) -> np.ndarray:
    net = flownet.load(images, device="cpu", weights=images.parent / "w.safetensors")
    return net.run(image=pixels)["y"]


X = np.random.default_rng(0).random((5, 1, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("form", ["npy", "npz", "json"])
def test_arrays_come_from_files_and_go_to_files(call, images: Path, tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", image=X, other=X)
    (tmp_path / "x.json").write_text(json.dumps(X.tolist()))
    result = call("--input", f"image=x.{form}", "--output", f"out.{form}")
    assert result.exit_code == 0, result.stderr
    if form == "npy":
        found = np.load(tmp_path / "out.npy")
    elif form == "npz":
        found = np.load(tmp_path / "out.npz")["y"]
    else:
        found = np.array(json.loads((tmp_path / "out.json").read_text())["y"])
    np.testing.assert_allclose(found, expected(images, X), rtol=1e-6)


def test_json_holds_the_outputs(call, images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.testing.assert_allclose(document(call("-i", "x.npy", "--json"))["outputs"]["y"], expected(images, X), rtol=1e-6)


def test_pictures_become_floats_from_0_to_1_with_channels_first(call, images: Path, tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 4) * 10
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(255 - pixels).save(tmp_path / "b.png")
    found = document(call("-i", "image=a.png", "-i", "image=b.png", "--json"))["outputs"]["y"]
    batch = np.stack([pixels, 255 - pixels])[:, None] / np.float32(255)
    np.testing.assert_allclose(found, expected(images, batch), rtol=1e-5)


def test_a_colour_picture_is_made_grey_where_the_graph_takes_one_channel(call, images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 6), (255, 0, 0)).save(tmp_path / "red.png")
    luma = round(0.299 * 255) / 255  # ITU-R BT.601, as Pillow converts
    found = document(call("-i", "image=red.png", "--json"))["outputs"]["y"]
    np.testing.assert_allclose(found, expected(images, np.full((1, 1, 6, 4), luma, np.float32)), rtol=1e-4)


def test_a_picture_of_another_size_needs_resize(call, tmp_path: Path) -> None:
    Image.new("L", (40, 60), 128).save(tmp_path / "large.png")
    result = call("-i", "image=large.png")
    assert result.exit_code == 1
    assert "is 60×40 (height × width)" in result.stderr
    assert "`--resize` scales it" in result.stderr
    assert call("-i", "image=large.png", "--resize").exit_code == 0


def test_one_example_becomes_a_batch_of_one(call, images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X[0])
    np.testing.assert_allclose(
        document(call("-i", "x.npy", "--json"))["outputs"]["y"], expected(images, X[:1]), rtol=1e-6
    )


def test_batches_are_put_together_again(call, images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    found = document(call("-i", "x.npy", "--json", "--batch", 2))["outputs"]["y"]
    np.testing.assert_allclose(found, expected(images, X), rtol=1e-6)


def test_any_value_is_fetched(call, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    found = document(call("-i", "x.npy", "--fetch", "flatten_1", "--json"))["outputs"]
    np.testing.assert_array_equal(np.array(found["flatten_1"], np.float32), X.reshape(5, 24))


def test_several_inputs_by_name_or_in_one_npz(run, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO)
    np.savez(tmp_path / "both.npz", a=np.ones((1, 2)), b=np.full((1, 2), 2.0))
    by_name = run("run", "two.yaml", "--device", "cpu", "-i", "a=[[1, 1]]", "-i", "b=[[2, 2]]", "--json")
    in_one = run("run", "two.yaml", "--device", "cpu", "-i", "both.npz", "--json")
    assert document(by_name)["outputs"] == document(in_one)["outputs"] == {"y": [[3, 3]]}
    result = run("run", "two.yaml", "--device", "cpu", "-i", "[[1, 1]]")
    assert result.exit_code == 1
    assert "does not say which input it is for" in result.stderr


def test_without_weights_it_warns(run, images: Path) -> None:
    result = run("run", images, "--device", "cpu", "-i", f"image={json.dumps(X.tolist())}")
    assert result.exit_code == 0
    assert "untrained" in result.stderr


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("image=nowhere.npy", "there is no file `nowhere.npy`"),
        ("imag=x.npy", "did you mean `image`?"),
        ("image=bad.npy", "`bad.npy` is no .npy file, in spite of its name"),
        ("image=bad.npz", "`bad.npz` is no .npz file, in spite of its name"),
        ("image=cut.npy", "`cut.npy` is damaged, or cut off"),
        ("image=cut.npz", "`cut.npz` is no .npz file, in spite of its name"),
        ("image=empty.npy", "it is empty"),
        ("image=pickled.npy", "`pickled.npy` is no .npy file, in spite of its name"),
        ("image=bad.png", "cannot be read as a picture"),
        ("image=bad.json", "`bad.json` cannot be read"),
        ("image=words.json", "is no array of numbers"),
        ("image=ragged.json", "is no array"),
        ("image=x.txt", "is of no kind that is known"),
        ("image=shape.npy", "`image` is float32[N, 1, 6, 4], got float32[5, 3]"),
        ("image=bytes.npy", "divide by 255 first"),
        ("image=objects.npy", "`objects.npy` holds Python objects, not numbers"),
        ("image=objects.npz", "`objects.npz` holds Python objects, not numbers"),
    ],
)
def test_bad_files_are_mistakes(call, tmp_path: Path, argument: str, text: str) -> None:
    for name in ("bad.npy", "bad.npz", "bad.png", "bad.json"):
        (tmp_path / name).write_bytes(b"this is none")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps({"a": 1}))
    np.savez(tmp_path / "objects.npz", image=np.array([{}], object))
    np.save(tmp_path / "whole.npy", np.zeros((1, 1, 6, 4)))
    np.savez(tmp_path / "whole.npz", image=np.zeros((1, 1, 6, 4)))
    for ending in ("npy", "npz"):
        (tmp_path / f"cut.{ending}").write_bytes((tmp_path / f"whole.{ending}").read_bytes()[:-30])
    (tmp_path / "words.json").write_text('["a", "b"]')
    (tmp_path / "ragged.json").write_text("[[1], [1, 2]]")
    (tmp_path / "x.txt").write_text("1 2 3")
    np.save(tmp_path / "shape.npy", np.zeros((5, 3), np.float32))
    np.save(tmp_path / "bytes.npy", np.zeros((1, 1, 6, 4), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    result = call("-i", argument)
    assert result.exit_code == 1, result.output
    assert text in result.stderr


def test_an_output_of_an_unknown_kind_is_refused(call, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    result = call("-i", "x.npy", "-o", "out.xyz")
    assert result.exit_code == 1
    assert "neither .npz, .npy nor .json" in result.stderr
