"""Files and stretches of them."""

from __future__ import annotations

from flownet.source import SourceFile, Span


def test_lines_count_from_one_and_end_with_the_file() -> None:
    file = SourceFile("a.yaml", "first\nsecond")
    assert [file.line(i) for i in (0, 1, 2, 3)] == ["", "first", "second", ""]


def test_a_span_is_called_by_file_line_and_column() -> None:
    assert str(Span(SourceFile("a.yaml", "x"), 1, 2, 1, 3)) == "a.yaml:1:2"
