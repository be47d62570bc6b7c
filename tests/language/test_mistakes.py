"""Every mistake in mistakes/NAME.yaml is told as mistakes/NAME.txt says, to the letter.

After a change of wording: FLOWNET_REGENERATE=1 pytest tests/language/test_mistakes.py -n 0, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flownet.language import check
from tests.language.small_registry import small_registry

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))


def told(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that is said of a file, with nothing of this machine in it."""
    monkeypatch.chdir(path.parent)
    _, diagnostics = check(path.name, registry=small_registry())
    text = "\n\n".join(map(str, diagnostics)) + "\n"
    return text.replace(str(path.parent.resolve()), "HERE")


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_mistake(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(path, monkeypatch)
    expected = path.with_suffix(".txt")
    if os.environ.get("FLOWNET_REGENERATE"):
        expected.write_text(found)
    assert found == expected.read_text()
    assert "Traceback" not in found


def test_there_are_sixty_distinct_mistakes() -> None:
    assert len(MISTAKES) >= 60
    assert len({path.with_suffix(".txt").read_text().split("\n")[0] for path in MISTAKES}) >= 60
