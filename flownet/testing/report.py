"""What the harness found, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Finding", "Report", "render"]

_MOST_ELEMENTS = 64


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    check:    its name
    passed:   False when the op breaks its contract
    detail:   what is wrong, or what was checked, or why nothing could be
    skipped:  nothing was checked
    op:       the op with its attributes, where an input shows the failure
    smallest: the smallest input that shows it
    """

    check: str
    passed: bool
    detail: str = ""
    skipped: bool = False
    op: str = ""
    smallest: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`ok`, `skipped` or `FAILED`"""
        return "skipped" if self.skipped else "ok" if self.passed else "FAILED"


@dataclass(frozen=True)
class Report:
    """All findings about one op on one device."""

    op: str
    device: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.passed)

    def __str__(self) -> str:
        return render(self)


def render(report: Report) -> str:
    """The report as a table, each failure with the smallest input that shows it."""
    passed = sum(finding.passed and not finding.skipped for finding in report.findings)
    skipped = sum(finding.skipped for finding in report.findings)
    parts = [f"{passed} passed", *([f"{skipped} skipped"] if skipped else [])]
    if report.failures:
        parts.insert(0, f"{len(report.failures)} FAILED")
    lines = [f"`{report.op}` on {report.device}: {', '.join(parts)}"]
    width = max((len(finding.check) for finding in report.findings), default=0)
    for finding in report.findings:
        margin = " " * (width + 13)
        detail = finding.detail.replace("\n", f"\n{margin}")
        lines.append(f"  {finding.verdict:<7}  {finding.check:<{width}}  {detail}".rstrip())
        if finding.op:
            lines.append(f"{margin}op:    {finding.op}")
        for number, (name, array) in enumerate(finding.smallest.items()):
            head = f"{margin}{'input: ' if number == 0 else '       '}"
            lines.append(head + _array(name, array, len(head)))
    return "\n".join(lines)


def _array(name: str, array: np.ndarray, indent: int) -> str:
    head = f"{name} = {array.dtype}[{', '.join(map(str, array.shape))}]"
    if array.size > _MOST_ELEMENTS:
        return f"{head} between {array.min():.6g} and {array.max():.6g}"
    with np.printoptions(precision=6, suppress=True):
        text = np.array2string(array, separator=", ")
    inner = "\n" + " " * (indent + len(head) + 1)
    return f"{head} {text}".replace("\n", inner)
