"""A Python file that a graph file names is never run silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from flownet.cli.invocation import Invocation
from flownet.cli.program import flownet as program

PLUGIN = """\
from dataclasses import dataclass
from pathlib import Path
import flownet

(Path(__file__).parent / "was-run").write_text("")

@dataclass(frozen=True)
class NAME(flownet.ElementwiseOp):
    name = "NAME"
    expression = "2 * x"
    derivative = {"x": "2 * dy"}

@flownet.hookimpl
def flownet_ops():
    return [NAME]
"""


@pytest.fixture
def graph(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    # the process's registry keeps what a test loads: each test has an op of its own
    name = request.node.name.removeprefix("test_")
    (tmp_path / "my_op.py").write_text(PLUGIN.replace("NAME", name))
    path = tmp_path / "net.yaml"
    path.write_text(f"flownet: 1\nplugins: [./my_op.py]\ninputs: {{x: 'float32[N, 2]'}}\nnodes:\n  - {name}\n")
    return path


def test_not_run_without_leave(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["check", str(graph)], standalone_mode=False) == 1
    err = capsys.readouterr().err
    assert "error[untrusted-plugin]: the file wants to run `./my_op.py`, and nobody has allowed that" in err
    assert "net.yaml:2:11" in err
    assert "--trust-plugins" in err
    assert not (graph.parent / "was-run").exists()


def test_run_with_the_option(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = program.main(["check", "--trust-plugins", str(graph)], standalone_mode=False)
    err = capsys.readouterr().err
    assert status == 0, err
    assert f"running {graph.parent / 'my_op.py'}, which the graph file names" in err
    assert (graph.parent / "was-run").exists()


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1)])
def test_a_terminal_is_asked(
    graph: Path, answer: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []

    def confirm(state: Invocation, path: Path) -> bool:
        asked.append(path)
        return answer == "y\n"

    monkeypatch.setattr(Invocation, "confirm", confirm)
    name = f"asked_{status}"
    (graph.parent / "my_op.py").write_text(PLUGIN.replace("NAME", name))
    graph.write_text(f"flownet: 1\nplugins: [./my_op.py]\ninputs: {{x: 'float32[N, 2]'}}\nnodes:\n  - {name}\n")
    assert program.main(["check", str(graph)], standalone_mode=False) == status
    assert asked == [(graph.parent / "my_op.py").resolve()]
    assert (graph.parent / "was-run").exists() == (status == 0)
    capsys.readouterr()
