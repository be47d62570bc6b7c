"""`$name` and `${…}`: values, types, bounds, and no way out."""

from __future__ import annotations

import pytest

from flownet.errors import FlownetError
from flownet.language.expressions import evaluate, substitute

NAMES = {
    "width": 6,
    "rate": 0.5,
    "sizes": [3, 5, 7],
    "op": "relu",
    "deep": {"a": {"b": 2}},
    "flag": True,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$width", 6), ("${width}", 6), ("${ 2 * width + 1 }", 13), ("${width / 4}", 1.5), ("${width // 4}", 1), ("${width % 4}", 2),
        ("${2 ** width}", 64), ("${2 ** -1}", 0.5), ("${-width}", -6), ("${width if flag else 0}", 6), ("${1 < width <= 6}", True),
        ("${min(width, 4, 9)}", 4), ("${max(sizes[0], sizes[-1])}", 7), ("${len(sizes)}", 3), ("${round(2.6)}", 3),
        ("${ceil(width / 4)}", 2), ("${sqrt(16)}", 4.0), ("${int(log2(8))}", 3), ("${deep.a.b}", 2), ("${deep['a']['b']}", 2),
        ("$sizes", [3, 5, 7]), ("$op", "relu"), ("$flag", True), ("$nothing", None), ("${[width, 2]}", [6, 2]), ("${not flag}", False),
        ("${width > 3 and flag}", True), ("${'a' + op}", "arelu"), ("c$width", "c6"), ("${width}x${width + 1}", "6x7"), ("$$width", "$width"),
        ("a$$b", "a$b"), ("$flag!", "true!"), ("${1e3}", 1000.0),
    ],
)  # fmt: skip
def test_values_and_types(text: str, value: object) -> None:
    found = substitute(text, NAMES)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9", "2**100", "10**18 * 10**18", "(10**9)**9", "1e308 * 1e308 if 2**64 else 0", "[0] * 10**9", "'a' * 10**9", "sizes * 3",
        "__import__('os')", "().__class__", "width.__class__", "op.upper()", "open('x')", "lambda: 0", "[x for x in sizes]", "sizes[0:2]",
        "f'{width}'", "width := 3", "print(1)", "abs(x=1)", "abs(*sizes)", "min()", "sqrt(-1)", "(-8) ** 0.5", "log2(0)", "int('a')",
        "width / 0", "width // 0", "width % 0", "sizes[9]", "deep['z']", "deep.z", "a b", "(", "1 +", "'", "~width", "width & 1", "1 if",
        "{1: 2}", "{1}", "b'x'", "1j", "...", "not", "await x", "yield", "max('a', 1)", "-op", "1_0.0.0", "len(width)",
        "(" * 300 + "1" + ")" * 300, "-" * 900 + "1", "1" + "+1" * 400, "int(1e400)", "round(1e400)", "ceil(nan)", "0x" + "f" * 900,
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_an_error(expression: str) -> None:
    with pytest.raises(FlownetError) as error:
        evaluate(expression, NAMES)
    assert {d.code for d in error.value.diagnostics} <= {"bad-expression", "unknown-variable"}


def test_a_long_expression_is_an_error() -> None:
    with pytest.raises(FlownetError, match="1003 characters"):
        evaluate("1 +" * 334 + "1", NAMES)


def test_a_misspelt_name_gets_a_near_one() -> None:
    with pytest.raises(FlownetError, match="did you mean `width`"):
        substitute("$widht", NAMES)
