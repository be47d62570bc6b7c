"""The harness finds every bug that is planted, by the check that is meant to, and finds none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.op import Sample
from flownet.testing import assert_op, check_op, render
from flownet.testing.on_device import run_in_session
from tests.testing.planted_bugs import (
    BUGS,
    CLEAN,
    Affine,
    CrashesOnScalars,
    Delay,
    ModifiesItsInput,
    TakesNaN,
    WrongSign,
)


@pytest.mark.parametrize("op", BUGS, ids=lambda op: op.__name__)
def test_planted_bug_is_found(op):
    report = check_op(op)
    assert not report.passed
    assert BUGS[op] in [finding.check for finding in report.failures], render(report)


@pytest.mark.parametrize("op", CLEAN, ids=lambda op: op.__name__)
def test_clean_op_passes(op):
    report = check_op(op)
    assert report.passed, render(report)


def test_there_are_enough_kinds_of_bugs():
    assert len(BUGS) >= 20
    assert len(set(BUGS.values())) >= 15


def test_fault_of_a_device_is_found():
    def broken(device, graph, inputs):
        outputs = run_in_session(device, graph, inputs)
        return {name: array * np.float32(1.001) for name, array in outputs.items()}

    report = check_op(Affine, device="cpu", run_on=broken)
    assert [finding.check for finding in report.failures] == ["device"]
    assert check_op(Affine, device="cpu", run_on=run_in_session).passed


def test_oracle_is_asked():
    def oracle(op, inputs):
        rows = []
        for row in inputs["x"]:
            rows.append([op.factor * x * s + b for x, s, b in zip(row, inputs["scale"], inputs["offset"], strict=True)])
        return np.array(rows)

    assert check_op(Affine, oracle=oracle).passed
    wrong = check_op(Affine, oracle=lambda op, inputs: 1 + oracle(op, inputs))
    assert [finding.check for finding in wrong.failures] == ["oracle"]


def test_failure_shows_the_smallest_input():
    (finding,) = (f for f in check_op(WrongSign).failures if f.check == "gradient")
    assert {name: array.shape for name, array in finding.smallest.items()} == {
        "x": (1, 1),
        "scale": (1,),
        "offset": (1,),
    }
    assert "the gradient of `x` is" in finding.detail
    (finding,) = (f for f in check_op(ModifiesItsInput).failures if f.check == "inputs unmodified")
    assert finding.smallest["x"].shape == (1, 1)


@pytest.mark.parametrize(("op", "check"), [(TakesNaN, "attributes"), (CrashesOnScalars, "refused inputs")])
def test_failure_of_a_refusal_shows_the_smallest_input(op, check):
    (finding,) = (f for f in check_op(op).failures if f.check == check)
    assert max(array.size for array in finding.smallest.values()) == 1


def test_smallest_input_is_no_smaller_than_the_bug():
    class LosesTheThird(Delay):
        """Only the third element of a row is wrong."""

        def backward(self, dy):
            dx = super().backward(dy)
            dx[..., 2:3] *= 3
            return dx

        @classmethod
        def samples(cls):
            yield Sample(cls(), {"x": np.arange(30.0).reshape(5, 6)}, note="the expectation is checked elsewhere")

    (finding,) = (f for f in check_op(LosesTheThird).failures if f.check == "gradient")
    assert finding.smallest["x"].shape == (1, 4)  # the third element's gradient comes from the fourth output


def test_assert_op_shows_the_table():
    assert_op(Affine)
    with pytest.raises(AssertionError, match="FAILED   gradient"):
        assert_op(WrongSign)


def test_table():
    text = render(check_op(WrongSign))
    lines = text.splitlines()
    assert lines[0].startswith("`affine` on cpu: ")
    assert " FAILED, " in lines[0]
    assert any(line.startswith("  ok       documentation") for line in lines)
    assert any("input: x = float64[1, 1] [[" in line for line in lines)
    assert any("op:    affine[factor=2.0]" in line for line in lines)
    assert str(check_op(Affine)).splitlines()[0].endswith("21 passed, 3 skipped")
