"""A plugin's op whose own code fails while a graph runs: the message says whose mistake it is, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from flownet.cli.program import flownet as program

OP = '''
from dataclasses import dataclass
import flownet

@dataclass(frozen=True)
class Looked(flownet.Op):
    """Looks its mode up."""

    name = "looked"
    mode: str = "same"

    def infer(self, x):
        return x

    def forward(self, x):
        return {"same": x, "short": x[:1], "nothing": None}[self.mode]

    def backward(self, dy):
        return {"back": dy}[self.mode]

@flownet.hookimpl
def flownet_ops():
    return [Looked]
'''
GRAPH = """flownet: 1
inputs: {{x: "float32[N, 2]"}}
nodes:
  - dense: {{units: 2}}
  - looked: {{mode: {mode}}}
train:
  data: {{dataset: xor}}
  loss: {{cross_entropy: {{in: [looked_1, label]}}}}
  optimizer: {{sgd: {{learning_rate: 0.5}}}}
  batch: 4
  epochs: 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "looked.py").write_text(OP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("device", ["cpu", pytest.param("opencl", marks=pytest.mark.opencl)])
def test_forward(folder: Path, capsys: pytest.CaptureFixture[str], device: str) -> None:
    (folder / "g.yaml").write_text(GRAPH.format(mode="other"))
    assert run("run", "g.yaml", "-i", "x=[[0, 1]]", "--device", device, "--plugin-dir", "ops") == 1
    err = capsys.readouterr().err
    assert "error[op-failed]: `looked` fails: KeyError: 'other'\n --> g.yaml:5:5" in err
    assert "note: raised in `forward` of looked.py:16" in err
    assert "flownet op test looked" in err
    assert "flownet itself failed" not in err


@pytest.mark.parametrize("device", ["cpu", pytest.param("opencl", marks=pytest.mark.opencl)])
@pytest.mark.parametrize(("mode", "made"), [("short", "an array of shape [1, 2]"), ("nothing", "nothing")])
def test_a_result_of_another_shape_is_not_broadcast(
    folder: Path, capsys: pytest.CaptureFixture[str], device: str, mode: str, made: str
) -> None:
    (folder / "g.yaml").write_text(GRAPH.format(mode=mode))
    assert run("run", "g.yaml", "-i", "x=[[0, 1], [1, 0]]", "--device", device, "--plugin-dir", "ops") == 1
    assert (
        f"error[op-failed]: `looked` makes {made} where its `infer` says [2, 2]\n --> g.yaml:5:5"
        in capsys.readouterr().err
    )


def test_backward(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "g.yaml").write_text(GRAPH.format(mode="same"))
    assert run("train", "g.yaml", "--device", "cpu", "--plugin-dir", "ops") == 1
    err = capsys.readouterr().err
    assert "error[op-failed]: `looked.backward` fails: KeyError: 'same'\n --> g.yaml:5:5" in err
    assert "note: raised in `backward` of looked.py:19" in err


def test_an_op_of_flownets_own_is_our_mistake(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self, x):
        raise KeyError("ours")

    monkeypatch.setattr("flownet.ops.shape.flatten.Flatten.is_view", False)
    monkeypatch.setattr("flownet.ops.shape.flatten.Flatten.forward", failing)
    (folder / "g.yaml").write_text('flownet: 1\ninputs: {x: "float32[N, 2]"}\nnodes: [flatten]\n')
    assert run("run", "g.yaml", "-i", "x=[[0, 1]]", "--device", "cpu") == 3
    assert "flownet itself failed: KeyError: 'ours'" in capsys.readouterr().err


def run(*arguments: str) -> int:
    status: int = program.main(list(arguments), standalone_mode=False)
    return status
