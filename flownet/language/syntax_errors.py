"""What YAML's parser complains about, in words that say what to do.

YAML cannot be read on after a syntax error: indentation is its structure, so that whatever follows would be guesswork.
So this is the one kind of mistake of which only the first is reported.
"""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

from flownet.errors import FlownetError
from flownet.source import SourceFile, Span

__all__ = ["explain"]


def explain(error: MarkedYAMLError, file: SourceFile) -> FlownetError:
    """The error for what the parser found: `yaml-syntax`."""
    problem, context = error.problem or "", error.context or ""
    mark, start = error.problem_mark, error.context_mark
    at_problem = _point(file, mark or start)
    at_start = _point(file, start or mark)
    notes: tuple[str, ...] = ()
    message, span, help = f"{context + ': ' if context else ''}{problem}", at_problem, ""
    line = file.line(at_problem.line) if at_problem else ""
    if "\\t" in problem or _tab_in_indent(line):
        column = line.find("\t") + 1
        if at_problem and column:
            span = Span(file, at_problem.line, column, at_problem.line, column + 1)
        message, help = "a tab where YAML wants spaces", "indent with spaces: YAML gives tabs no width"
    elif "mapping values are not allowed" in problem:
        message = "a `:` that cannot stand here"
        help = (
            "put a mapping inside a line in braces, `{key: value}`, and a text that holds `: ` in quotes; "
            "else check the indentation, and the line above"
        )
    elif "could not find expected ':'" in problem:
        message, span = "a key without its `:`", at_start
        help = "write `key: value`, with a space after the colon; items of a list begin with `- `"
    elif "found unexpected end of stream" in problem and "quoted" in context:
        quote = file.line(at_start.line)[at_start.column - 1 : at_start.column] if at_start else ""
        message, span = "a quote that is opened here is never closed", at_start
        help = f"close it with `{quote}` behind the text"
    elif "flow" in context and "expected the node content" in problem:
        got = re.search(r"found '(.+)'", problem)
        ends = got is None or "stream end" in got[1]
        message = (
            f"{_end(file)} comes where a value is due"
            if ends
            else f"`{got[1] if got else ''}` stands where a value is due"
        )
        help = (
            "write the value, and close what is open with `}` or `]`"
            if ends
            else "write the value, or remove the `,` in front"
        )
    elif "flow" in context and at_start:
        opened = file.line(at_start.line)[at_start.column - 1 : at_start.column]
        closing = {"[": "]", "{": "}"}.get(opened, "the bracket")
        message, span = f"the `{opened}` that opens here is not closed as YAML expects", at_start
        if at_problem:
            got = re.search(r"but got ('.+'|<.+>)", problem)
            what = _end(file) if got and "stream end" in got[1] else (got[1] if got else problem)
            what = what.replace("'", "`")
            notes = (
                f"in line {at_problem.line}, column {at_problem.column}, "
                f"comes {what} where a `,` or `{closing}` is due",
            )
        help = f"close it with `{closing}`, put `,` between items, and quotes around texts that hold brackets"
    elif "expected <block end>" in problem and (closing := _closing(file, at_problem)):
        message, help = f"the `{closing}` closes nothing", "remove it, or open what it closes"
    elif "expected <block end>" in problem:
        message = "this line does not belong to the list or mapping around it"
        help = "check its indentation: items of one list, and keys of one mapping, begin in the same column"
        if at_start:
            notes = (f"the list or mapping begins in line {at_start.line}, column {at_start.column}",)
    elif "cannot start any token" in problem:
        character = re.search(r"character '(.+?)'", problem)
        message = f"a value cannot begin with `{character[1] if character else '?'}`"
        help = "put the text in quotes"
    elif "undefined tag handle" in problem or "tag" in context:
        return FlownetError.of(
            "yaml-tag", "tags have no meaning in a graph file", span=at_problem, help="remove the `!…`"
        )
    elif "anchor" in context or "alias" in context:
        message, help = (
            "`&` and `*` begin anchors and aliases, whose names are letters and digits",
            "put the text in quotes",
        )
    elif "did not find expected <document start>" in problem or "expected '<document start>'" in problem:
        message, help = "the file goes on after its end", "check the indentation of this line"
    return FlownetError.of("yaml-syntax", message, *notes, span=span, help=help)


def _closing(file: SourceFile, at: Span | None) -> str:
    """The bracket that stands there, if it is one that closes."""
    character = file.line(at.line)[at.column - 1 : at.column] if at else ""
    return character if character in ("}", "]") else ""


def _end(file: SourceFile) -> str:
    return "the end of the text" if file.name.startswith(("--", "<")) else "the end of the file"


def _tab_in_indent(line: str) -> bool:
    return "\t" in line[: len(line) - len(line.lstrip())]


def _point(file: SourceFile, mark: object) -> Span | None:
    if mark is None:
        return None
    line, column = mark.line + 1, mark.column + 1  # type: ignore[attr-defined]
    if line > len(file.lines) and file.lines:  # the end of the file: show its last line
        line = len(file.lines)
        column = len(file.lines[-1]) + 1
    return Span(file, line, column, line, column + 1)
