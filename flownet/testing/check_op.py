"""All checks of one op."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from flownet.op import Op
from flownet.testing.checks import CHECKS
from flownet.testing.on_device import RunOn, run_in_session
from flownet.testing.report import Finding, Report, render
from flownet.testing.subject import Failure, Skip, Subject, said

__all__ = ["assert_op", "check_op"]


def check_op(
    op_class: type[Op],
    device: str = "cpu",
    registry: Any = None,
    *,
    oracle: Callable[[Op, Mapping[str, np.ndarray]], Any] | None = None,
    run_on: RunOn | None = None,
    only: Collection[str] = (),
) -> Report:
    """What the harness finds out about an op.

    device:   compared with NumPy on every sample, forward and backward; `cpu` too, whose plans share memory between
              values
    registry: where devices of plugins are looked up
    oracle:   (op, inputs) -> the outputs, written independently of the op; compared with `forward` on every sample
    only:     the names of the checks to run, as the report has them (`device`, `gradient`); all unless given
    run_on:   (device, graph, inputs) -> the graph's outputs by name, instead of a `Session` on the device
    """
    subject = Subject(op_class, device, registry, oracle, run_on or partial(run_in_session, registry=registry))
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if only and name not in only:
            continue
        if name == "device" and any(f.check == "kernel memory" and not f.passed for f in findings):
            findings.append(Finding(name, True, "not run: mend the kernel's memory first", skipped=True))
            continue
        try:
            findings.append(Finding(name, True, check(subject)))
        except Skip as reason:
            findings.append(Finding(name, True, str(reason), skipped=True))
        except Failure as failure:
            example = failure.example
            op, inputs = (str(example.op), dict(example.inputs)) if example is not None else ("", {})
            findings.append(Finding(name, False, str(failure), op=op, smallest=inputs))
        except Exception as error:  # an op under test may fail in any way, at any place
            findings.append(Finding(name, False, said(error)))
    return Report(getattr(op_class, "name", "") or op_class.__name__, device, tuple(findings))


def assert_op(op_class: type[Op], device: str = "cpu", **options: Any) -> None:
    """Fail, with the table of all findings, unless the op passes every check: for the tests of a plugin.

    Arguments as for `check_op`.
    """
    __tracebackhide__ = True  # pytest shows the table, not this frame
    report = check_op(op_class, device, **options)
    if not report.passed:
        raise AssertionError(render(report))
