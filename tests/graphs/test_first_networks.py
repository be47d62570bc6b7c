"""The first networks of graphs/ reach what they say, on the data that come with flownet and on NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flownet
from flownet.training.run import Result

GRAPHS = Path(__file__).parents[2] / "graphs"


def trained(name: str, tmp_path: Path, **options) -> tuple[flownet.Network, Result]:
    net = flownet.load(GRAPHS / f"{name}.yaml", device="cpu", **options)
    return net, flownet.train(net, folder=tmp_path / name)


def test_linear_regression_finds_the_certified_line(tmp_path: Path) -> None:
    net, _ = trained("linear_regression", tmp_path)
    x = net.document.train.data.read(None)["train"].take(np.arange(36))["x"].astype(np.float64)
    weight, bias = (float(net.weights[f"line.{part}"].squeeze()) for part in ("weight", "bias"))
    slope = weight / x.std()
    # NIST's certificate; float32 over numbers up to 1000 leaves six digits of the slope, and 1e-3 of the intercept
    assert slope == pytest.approx(1.00211681802045, rel=1e-5)
    assert bias - slope * x.mean() == pytest.approx(-0.262323073774029, abs=2e-3)
    loss = flownet.evaluate(net, ["train"])["train"].loss
    residual = np.sqrt(2 * loss * 36 / 34)  # the loss is the mean of ½(y − y*)²; the line has two parameters
    assert residual == pytest.approx(0.884796396144373, rel=1e-4)


def test_linear_regression_in_double_precision(tmp_path: Path) -> None:
    net, _ = trained("linear_regression", tmp_path, dtype="float64")
    x = net.document.train.data.read(None)["train"].take(np.arange(36))["x"].astype(np.float64)
    slope = float(net.weights["line.weight"].squeeze()) / x.std()
    assert slope == pytest.approx(1.00211681802045, rel=1e-6)  # the data themselves are read as float32


def test_logistic_regression_tells_tumours_apart(tmp_path: Path) -> None:
    _, result = trained("logistic_regression", tmp_path)
    assert result.metrics["test"]["binary_accuracy"] >= 0.965  # the paper's linear separator: 97.5% by cross-validation


def test_xor_is_learned(tmp_path: Path) -> None:
    net, result = trained("xor", tmp_path)
    assert result.metrics["test"]["accuracy"] == 1
    answers = net.run(x=[[0, 0], [0, 1], [1, 0], [1, 1]])["probabilities"].argmax(axis=1)
    assert answers.tolist() == [0, 1, 1, 0]


def test_digits_are_read(tmp_path: Path) -> None:
    _, result = trained("digits", tmp_path)
    assert result.metrics["test"]["accuracy"] >= 0.97
