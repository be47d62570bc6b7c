"""Every built-in op passes the conformance harness on the CPU: types, expectations, gradients, odd inputs, attributes.

What the harness cannot know, whether the samples' expectations are right, the tests of each op look after.
"""

from __future__ import annotations

import pytest

from flownet.registry import Registry
from flownet.testing import assert_op

_OPS = dict(Registry(entry_points=False).items("op"))


@pytest.mark.parametrize("name", _OPS)
def test_conformance(name):
    assert_op(_OPS[name])


@pytest.mark.parametrize("name", _OPS)
def test_documentation_says_what_users_ask(name):
    text = _OPS[name].__doc__
    assert "Shapes:" in text, "the docstring lacks the shapes"
    if _OPS[name].differentiable != ():
        assert "Gradient" in text or _OPS[name].category in ("metric", "optimizer", "random"), (
            "the docstring lacks the gradient"
        )
