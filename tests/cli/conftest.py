"""The command line in this process, with its two streams apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flownet.cli.program import flownet
from flownet.language.writing import to_yaml
from tests.training.small import graph_of

GRAPHS = Path(__file__).parents[2] / "graphs"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`run("check", "a.yaml")`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWNET_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "no-data"))

    def call(*arguments: Any) -> Result:
        return CliRunner().invoke(flownet, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file with the small network of the training tests."""
    path = tmp_path / "small.yaml"
    path.write_text(to_yaml(graph_of()))
    return path


def document(result: Result) -> Any:
    """The one JSON document on standard output."""
    return json.loads(result.stdout)
