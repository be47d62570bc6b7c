"""docs/ops.md is what the ops say of themselves, now."""

from __future__ import annotations

import runpy
from pathlib import Path

from flownet.registry import Registry

DOCS = Path(__file__).parents[2] / "docs"


def test_the_op_reference_is_up_to_date() -> None:
    written = runpy.run_path(str(DOCS / "build_ops_reference.py"))["reference"]()
    assert (DOCS / "ops.md").read_text() == written, "run `python docs/build_ops_reference.py`"


def test_every_op_has_its_page() -> None:
    text = (DOCS / "ops.md").read_text()
    for name in Registry(entry_points=False).names("op"):
        assert f"\n### {name}\n" in text
