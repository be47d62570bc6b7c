"""Diagnostics as text: headline, place, line with carets, notes, help."""

from __future__ import annotations

import pickle

import pytest

from flownet.errors import Diagnostic, FlownetError, MachineError, near_names
from flownet.source import SourceFile, Span

FILE = SourceFile("graphs/lenet5.yaml", "flownet: 1\nnodes:\n  - dense: {units: 120}\n")


def test_a_diagnostic_is_rendered_with_its_line_and_carets() -> None:
    diagnostic = Diagnostic(
        "shape-mismatch",
        "`dense` takes float32[n, d], got float32[N, 16, 5, 5]",
        Span(FILE, 3, 5, 3, 10),
        ("the value comes from `avg_pool_2`, line 15",),
        "put `- flatten` above it",
    )
    assert diagnostic.render().splitlines() == [
        "error[shape-mismatch]: `dense` takes float32[n, d], got float32[N, 16, 5, 5]",
        " --> graphs/lenet5.yaml:3:5",
        "  |",
        "3 |   - dense: {units: 120}",
        "  |     ^^^^^",
        "note: the value comes from `avg_pool_2`, line 15",
        "help: put `- flatten` above it",
    ]


def test_a_warning_says_so_and_needs_no_place() -> None:
    assert (
        Diagnostic("unused-node", "nobody uses `x`", severity="warning").render()
        == "warning[unused-node]: nobody uses `x`"
    )


def test_a_span_of_several_lines_is_marked_to_the_end_of_its_first() -> None:
    lines = Diagnostic("x", "y", Span(FILE, 2, 1, 3, 10)).render().splitlines()
    assert lines[-1] == "  | ^^^^^^"


def test_a_very_long_line_shows_what_surrounds_the_mistake() -> None:
    text = "a" * 5000 + "WRONG" + "b" * 5000
    lines = Diagnostic("x", "y", Span(SourceFile("one_line.json", text), 1, 5001, 1, 5006)).render().splitlines()
    assert all(len(line) < 200 for line in lines)
    shown, carets = lines[-2], lines[-1]
    start = carets.index("^")
    assert shown[start : start + carets.count("^")] == "WRONG"


def test_a_place_past_the_end_of_the_file_is_still_shown() -> None:
    assert "9 |" in Diagnostic("x", "y", Span(FILE, 9, 1, 9, 2)).render()


def test_an_error_holds_all_its_diagnostics() -> None:
    error = FlownetError([Diagnostic("a", "first"), Diagnostic("b", "second")])
    assert str(error) == "error[a]: first\n\nerror[b]: second"
    assert [d.code for d in error.diagnostics] == ["a", "b"]
    assert (error.exit_status, MachineError.of("disk", "full").exit_status) == (1, 3)


@pytest.mark.parametrize(
    ("name", "near"),
    [("sofmax", "did you mean `softmax`?"), ("dens", "did you mean `dense`?"), ("xyzzy", "")],
)
def test_near_names(name: str, near: str) -> None:
    assert near_names(name, ["softmax", "dense", "conv2d"]) == near


def test_an_error_of_another_process_is_the_same_here() -> None:
    error = MachineError([Diagnostic("one", "a"), Diagnostic("two", "b", notes=("c",), help="d")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is MachineError and again.diagnostics == error.diagnostics and str(again) == str(error)
