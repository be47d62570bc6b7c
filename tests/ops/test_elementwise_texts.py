"""What is wrong with the texts of an elementwise op is said when a graph is read, not where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from flownet.errors import FlownetError
from flownet.language.tensor_types import read_type
from flownet.op import ElementwiseOp


@pytest.mark.parametrize(
    ("expression", "derivative", "message"),
    [
        ("2 * slop * x", {}, "`2 * slop * x` of `line` has the name `slop`, which stands for nothing"),
        ("2 * x + q * 0", {}, "`2 * x + q * 0` of `line` has the name `q`, which stands for nothing"),
        ("way * x", {}, "`way * x` of `line` takes numbers, and the attribute `way` is 'up'"),
        ("x +", {}, "`x +` is no expression: invalid syntax"),
        ("slope * x", {"x": "slope * dz"}, "`slope * dz` of `line` has the name `dz`, which stands for nothing"),
        ("slope * x", {"X": "slope * dy"}, "`line` has a derivative for `X`, which is none of its operands"),
    ],
)
def test_wrong_text_is_refused_before_the_run(expression, derivative, message):
    op = _line(expression, derivative)
    with pytest.raises(FlownetError) as error:
        op.result_types({"x": read_type("float32[N, 3]")})
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("bad-expression", message)


def test_misspelt_name_gets_its_neighbour():
    with pytest.raises(FlownetError) as error:
        _line("slop * x").expressions()
    assert "slope" in error.value.diagnostics[0].help


def test_names_of_operands_attributes_outputs_and_gradients_are_known():
    op = _line("slope * x", {"x": "slope * dy + 0 * (x + y)"})
    x = read_type("float32[N, 3]")
    assert op.result_types({"x": x}) == (x,)


def _line(text: str, gradients: dict[str, str] | None = None) -> ElementwiseOp:
    @dataclass(frozen=True)
    class Line(ElementwiseOp):
        """slope · x"""

        slope: float = 2.0
        way: str = "up"

        name = "line"
        expression = text
        derivative: ClassVar = gradients or {}

    return Line()
