"""`flownet diff` finds a bug that a plugin's OpenCL kernel has, and what it writes shows it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flownet.cli.program import flownet as program
from flownet.devices.choose import choose_device
from flownet.errors import FlownetError

PLUGIN = '''
from dataclasses import dataclass
import flownet
from flownet.kernels import Template

@dataclass(frozen=True)
class Doubled(flownet.Op):
    """y = 2x, with kernels that may have a bug."""

    name = "doubled"

    def infer(self, x):
        return x

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy

    def opencl(self, g, x):
        return g.add(Template("doubled", ("x",), (("y", x.type),), "FORWARD", x.type.size, meaning=self.forward), x)

    def opencl_backward(self, g, dy):
        return g.add(Template("doubled_gradient", ("dy",), (("dx", dy.type),), "BACKWARD", dy.type.size, meaning=self.backward), dy)

@flownet.hookimpl
def flownet_ops():
    return [Doubled]
'''
FORWARD, BACKWARD = "y[i] = 2.0f * x[i];", "dx[i] = 2.0f * dy[i];"
WRONG_FORWARD = "y[i] = i % 7 == 6 ? x[i] : 2.0f * x[i];"  # every seventh element is forgotten
WRONG_BACKWARD = "dx[i] = -2.0f * dy[i];"

GRAPH = """\
flownet: 1
inputs: {x: "float32[N, 5]"}
nodes:
  - dense: {units: 8}
  - tanh
  - dense: {units: 8}
  - doubled
  - relu
  - dense: {units: 3}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    try:
        choose_device("opencl")
    except FlownetError as error:
        pytest.skip(str(error))
    (tmp_path / "net.yaml").write_text(GRAPH)
    return tmp_path


def plant(folder: Path, forward: str = FORWARD, backward: str = BACKWARD) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "doubled.py").write_text(PLUGIN.replace("FORWARD", forward).replace("BACKWARD", backward))


def diff(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path) -> tuple[int, dict]:
    options = [str(argument) for argument in (*arguments, "--plugin-dir", folder / "plugins", "--json")]
    status = program.main(["diff", *options], standalone_mode=False)
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.opencl
def test_sound_kernels_agree(capsys, folder: Path) -> None:
    plant(folder)
    status, found = diff(capsys, folder, folder / "net.yaml")
    assert status == 0
    assert found["first"] is None
    assert found["compared"] > 12
    assert found["worst"]["error"] < 1e-4


@pytest.mark.opencl
@pytest.mark.parametrize(
    ("forward", "backward", "direction"), [(WRONG_FORWARD, BACKWARD, "forward"), (FORWARD, WRONG_BACKWARD, "backward")]
)
def test_a_planted_kernel_bug_is_found_and_cut_out(
    capsys, folder: Path, forward: str, backward: str, direction: str
) -> None:
    plant(folder, forward, backward)
    status, found = diff(capsys, folder, folder / "net.yaml", "--batch", "3")
    assert status == 1
    first = found["first"]
    assert (first["node"], first["op"], first["direction"]) == ("doubled_1", "doubled", direction)
    assert first["smallest_nodes"] == 1
    assert Path(first["smallest"]) == folder / "net.smallest.yaml"
    text = (folder / "net.smallest.yaml").read_text()
    assert "doubled" in text
    assert "op: dense" not in text
    again, shown = diff(capsys, folder, first["smallest"], "--inputs", first["inputs"])
    assert again == 1
    assert shown["first"]["node"] == "doubled_1"
    same, _ = diff(capsys, folder, first["smallest"], "--inputs", first["inputs"], "--b", "cpu")
    assert same == 0


@pytest.mark.opencl
def test_a_plugin_beside_the_graph(capsys, folder: Path) -> None:
    """`plugins:` names it by a path: the smallest file, which lies elsewhere, names it from there."""
    plant(folder, WRONG_FORWARD)
    (folder / "plugins" / "doubled.py").rename(folder / "doubled_beside.py")
    (folder / "net.yaml").write_text(GRAPH.replace("inputs:", "plugins: [./doubled_beside.py]\ninputs:"))
    (folder / "out").mkdir()
    status, found = diff(capsys, folder, folder / "net.yaml", "--trust-plugins", "--out", folder / "out" / "small.yaml")
    assert status == 1
    assert found["first"]["smallest_nodes"] == 1
    assert "plugins: [../doubled_beside.py]" in (folder / "out" / "small.yaml").read_text()
    again, shown = diff(
        capsys, folder, folder / "out" / "small.yaml", "--inputs", found["first"]["inputs"], "--trust-plugins"
    )
    assert (again, shown["first"]["node"]) == (1, "doubled_1")


@pytest.mark.opencl
def test_no_more_examples_than_it_takes(capsys, folder: Path) -> None:
    """Wrong from the 20th element of 8 a row on: three rows are not tried, four are."""
    plant(folder, "y[i] = i < 20 ? 2.0f * x[i] : x[i];")
    status, found = diff(capsys, folder, folder / "net.yaml", "--batch", "50")
    assert status == 1
    assert found["first"]["smallest_nodes"] == 1
    assert "float32[4, 8]" in (folder / "net.smallest.yaml").read_text()


@pytest.mark.opencl
def test_what_people_read(capsys, folder: Path) -> None:
    plant(folder, WRONG_FORWARD)
    status = program.main(
        [
            "diff",
            str(folder / "net.yaml"),
            "--plugin-dir",
            str(folder / "plugins"),
            "--out",
            str(folder / "small.yaml"),
        ],
        standalone_mode=False,
    )
    out = capsys.readouterr().out
    assert status == 1
    assert out.startswith("the result of `doubled_1` (doubled) differs at [")
    assert (
        f"flownet diff {folder / 'small.yaml'} --inputs {folder / 'small.npz'} --a cpu --b opencl --plugin-dir" in out
    )


def test_a_device_that_is_not_there(capsys, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("flownet: 1\ninputs: {x: 'float32[N, 2]'}\nnodes: [relu]\n")
    status = program.main(["diff", str(tmp_path / "net.yaml"), "--b", "opnecl"], standalone_mode=False)
    assert status == 1
    assert "did you mean `opencl`" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_inputs_that_cannot_be_read(capsys, tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "net.yaml").write_text("flownet: 1\ninputs: {x: 'float32[N, 2]'}\nnodes: [relu]\n")
    if content is not None:
        (tmp_path / "in.npz").write_bytes(content)
    arguments = ["diff", str(tmp_path / "net.yaml"), "--b", "cpu", "--inputs", str(tmp_path / "in.npz")]
    assert program.main(arguments, standalone_mode=False) == 1
    assert "in.npz` cannot be read" in capsys.readouterr().err
