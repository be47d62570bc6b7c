"""What the tests of data share: a check of refusals, and where the real datasets are."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from flownet.errors import FlownetError


@pytest.fixture
def refused():
    """`with refused("data-nan", "iris.csv", "line 3"):` expects one diagnostic of that code with these texts in it."""

    @contextmanager
    def check(code, *texts):
        with pytest.raises(FlownetError) as caught:
            yield
        assert [d.code for d in caught.value.diagnostics] == [code], str(caught.value)
        rendered = str(caught.value)
        for text in texts:
            assert str(text) in rendered, rendered

    return check


def _real(*parts):
    for place in (os.environ.get("FLOWNET_DATA"), Path(__file__).parents[2].parent / "shared" / "data"):
        if place and Path(place, *parts).exists():
            return Path(place)
    pytest.skip(f"needs the real `{'/'.join(parts)}` in FLOWNET_DATA or ../shared/data")


@pytest.fixture
def real():
    """`real("mnist")` is the folder that holds the real `mnist/`; skips the test where there is none."""
    return _real
