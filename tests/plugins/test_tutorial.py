"""docs/plugins.md: every file that it shows is taken out of it, and does what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import flownet
from flownet.devices.choose import choose_device
from flownet.registry import Registry
from flownet.testing import assert_op

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
_NAMED = re.compile(r"```(?:python|yaml)\n# (\w+\.(?:py|yaml))\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page."""
    made = tmp_path_factory.mktemp("tutorial")
    for name, text in _NAMED.findall(PAGE.read_text(encoding="utf-8")):
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    made = Registry(entry_points=False)
    for plugin in made.load_directory(folder):
        assert plugin.problem is None, plugin.problem
    return made


def test_the_page_shows_these_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "gated.yaml",
        "gaussian.py",
        "blend.py",
        "running_sum.py",
    }


@pytest.mark.parametrize("name", ["gaussian", "blend", "running_sum"])
def test_the_ops_pass_on_the_cpu(registry: Registry, name: str) -> None:
    assert_op(registry.get("op", name))


@pytest.mark.opencl
@pytest.mark.parametrize("name", ["gaussian", "blend", "running_sum"])
def test_the_ops_pass_on_opencl(registry: Registry, name: str) -> None:
    try:
        choose_device("opencl")
    except flownet.FlownetError as error:
        pytest.skip(str(error))
    assert_op(registry.get("op", name), "opencl")


def test_the_block_computes_the_gate(folder: Path) -> None:
    net = flownet.load(folder / "gated.yaml", device="cpu")
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    weights = net.weights
    got = (
        net.run(x=x, fetch=["gated_dense_1/mul_1"])["gated_dense_1/mul_1"]
        if "gated_dense_1/mul_1" in net.graph.values
        else None
    )
    assert got is not None, list(net.graph.values)
    value = x @ weights["gated_dense_1/value.weight"].T + weights["gated_dense_1/value.bias"]
    gate = x @ weights["gated_dense_1/gate.weight"].T + weights["gated_dense_1/gate.bias"]
    np.testing.assert_allclose(got, value / (1 + np.exp(-gate)), rtol=1e-5, atol=1e-6)


def test_the_formula_is_the_docstrings(registry: Registry) -> None:
    x = np.linspace(-2, 3, 11)
    np.testing.assert_allclose(
        registry.get("op", "gaussian")(centre=0.5).forward(x), np.exp(-((x - 0.5) ** 2)), rtol=1e-14
    )


def test_the_named_paths_exist() -> None:
    for target in re.findall(r"\]\((\.\./[^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
