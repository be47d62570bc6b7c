"""`flownet op list|show|test|new` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flownet.cli.program import flownet as program

SOUND = '''
from dataclasses import dataclass
import flownet

@dataclass(frozen=True)
class Cubed(flownet.ElementwiseOp):
    """The cube: y = x³.

    scale: a factor

    Shapes: float32[…] -> the same. Gradient: dx = 3 · x² · dy · scale.
    """

    name = "cubed"
    category = "activation"
    scale: float = 1.0
    expression = "scale * x * x * x"
    derivative = {"x": "DERIVATIVE"}

    def checked(self):
        if not abs(self.scale) < 1e30:
            raise flownet.FlownetError.of("bad-attribute", f"`scale` of `cubed` must be finite, got {self.scale}")

    @classmethod
    def samples(cls):
        yield flownet.Sample(cls(), {"x": [[1.0, -2.0, 0.5]]}, {"y": [[1.0, -8.0, 0.125]]}, note="by hand")
        yield flownet.Sample(cls(2.0), {"x": [3.0]}, {"y": [54.0]})

@flownet.hookimpl
def flownet_ops():
    return [Cubed]
'''
RIGHT, WRONG = "3 * scale * x * x * dy", "2 * scale * x * x * dy"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = program.main([str(argument) for argument in arguments], standalone_mode=False)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cubed.py").write_text(SOUND.replace("DERIVATIVE", RIGHT))
    return tmp_path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    (tmp_path / "cubed.py").write_text(SOUND.replace("DERIVATIVE", WRONG))
    return tmp_path


def test_list_knows_ops_of_plugins(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "op", "list", "--plugin-dir", folder, "--json")
    ops = {op["name"]: op for op in json.loads(out)["ops"]}
    assert status == 0
    assert ops["cubed"] == {
        "name": "cubed",
        "category": "activation",
        "plugin": "cubed",
        "summary": "The cube: y = x³.",
    }
    assert ops["softmax"]["plugin"] == "flownet"


def test_list_can_be_narrowed(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "op", "list", "--plugin-dir", folder, "--plugin", "cubed")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["cubed"]
    status, _, err = run(capsys, "op", "list", "--category", "activatoin")
    assert status == 1
    assert "did you mean `activation`" in err


def test_show(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "op", "show", "cubed", "--plugin-dir", folder)
    assert status == 0
    for text in (
        "The cube: y = x³.",
        "dx = 3 * scale * x * x * dy",
        "scale",
        "1.0",
        "elementwise",
        "fused",
        "by hand",
        "-8",
    ):
        assert text in out


def test_show_json(capsys) -> None:
    page = json.loads(run(capsys, "op", "show", "dense", "--json")[1])
    assert page["inputs"] == ["x", "weight", "bias?"]
    assert page["attributes"] == [
        {"name": "units", "type": "int", "required": True, "default": None},
        {"name": "bias", "type": "bool", "required": False, "default": True},
    ]
    assert page["kind"] == "full"
    assert page["samples"]


@pytest.mark.parametrize("name", ["add", "dropout", "max_pool", "batch_norm", "conv2d", "embedding", "reshape"])
def test_show_takes_every_form_of_op(capsys, name: str) -> None:
    status, out, _ = run(capsys, "op", "show", name)
    assert status == 0
    assert out.startswith(f"{name}  (")


def test_a_misspelt_op_gets_its_neighbour(capsys) -> None:
    for command in ("show", "test"):
        status, _, err = run(capsys, "op", command, "sofmax")
        assert status == 1
        assert "unknown-op" in err
        assert "`softmax`" in err


def test_test_passes_a_sound_op(capsys, folder: Path) -> None:
    status, out, _ = run(capsys, "op", "test", "cubed", "--plugin-dir", folder, "--device", "cpu")
    assert status == 0
    assert "`cubed` on cpu" in out
    assert "FAILED" not in out
    assert "gradient" in out


def test_test_shows_a_failure_with_the_smallest_input(capsys, faulty: Path) -> None:
    status, out, _ = run(capsys, "op", "test", "cubed", "--plugin-dir", faulty, "--device", "cpu", "--json")
    assert status == 1
    document = json.loads(out)
    assert document["passed"] is False
    (gradient,) = [finding for finding in document["reports"][0]["findings"] if finding["check"] == "gradient"]
    assert gradient["verdict"] == "failed"
    assert sum(len(str(value)) for value in gradient["smallest"].values()) < 20  # one number is enough to show it
    status, out, _ = run(capsys, "op", "test", "cubed", "--plugin-dir", faulty, "--device", "cpu")
    assert status == 1
    assert "FAILED" in out
    assert "input: x" in out


def test_several_ops_and_devices(capsys, folder: Path) -> None:
    _, out, _ = run(
        capsys, "op", "test", "cubed", "tanh", "--plugin-dir", folder, "--device", "cpu", "--device", "cpu", "--json"
    )
    assert [(report["op"], report["device"]) for report in json.loads(out)["reports"]] == [
        ("cubed", "cpu"), ("cubed", "cpu"), ("tanh", "cpu"), ("tanh", "cpu"),
    ]  # fmt: skip


def test_a_device_that_is_not_there_is_no_fault_of_the_op(capsys) -> None:
    status, out, err = run(capsys, "op", "test", "relu", "--device", "cpuu")
    assert status == 1
    assert "there is no device `cpuu`" in err
    assert "did you mean `cpu`?" in err
    assert "FAILED" not in out


def test_new_and_then_test(capsys, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "op", "new", "row_scale", "--out", tmp_path)
    assert status == 0
    assert "pip install -e" in out
    status, out, _ = run(
        capsys, "op", "test", "row_scale", "--plugin-dir", tmp_path / "flownet-row-scale", "--device", "cpu"
    )
    assert status == 0, out


def test_new_where_nothing_can_be_written(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, err = run(capsys, "op", "new", "row_scale", "--out", tmp_path / "file")
    assert status == 3
    assert "cannot-write" in err
