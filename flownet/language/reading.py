"""Text -> tree: YAML 1.2 and JSON, with the place of every scalar.

ruamel.yaml's scanner and parser give *events*, which are consumed here one by one: its own composer is recursive, and
so is stopped by 10,000 levels of nesting. Tags are refused, so that nothing in a file can name a Python object; aliases
are counted, so that none can blow up.

One thing goes beyond YAML: `${…}` and `float32[…]` may stand without quotes inside `{…}` and `[…]`, where YAML would
take their brackets for its own. Their brackets are swapped for stand-ins of the same width before YAML sees them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from flownet.errors import FlownetError
from flownet.language.report import Report
from flownet.language.scalars import resolve_scalar
from flownet.language.syntax_errors import explain
from flownet.language.tree import Mapping, Scalar, Sequence, Tree
from flownet.source import SourceFile, Span
from flownet.types import DType

__all__ = ["MAX_BYTES", "MAX_DEPTH", "read_file", "read_text"]

MAX_BYTES = 16 << 20
MAX_DEPTH = 100
MAX_ALIASED = 100_000
"""How many scalars, lists and mappings aliases may add to a file."""

# stand-ins from Unicode's private use area, one for each character that YAML would act upon
_STAND_INS = {ord(char): 0xE000 + i for i, char in enumerate("{}[],#:\"'")}
_BACK = {stand_in: char for char, stand_in in _STAND_INS.items()}
_EXPRESSION = re.compile(r"\$\{[^{}\n]*\}")
_TYPE = re.compile(rf"\b(?:{'|'.join(dtype.value for dtype in DType)})\[[^\[\]\n\"']*\]")
_STANDS_IN = re.compile("[\ue000-\ue008]")


def read_file(path: Path | str, report: Report, at: Tree | None = None) -> Tree | None:
    """The tree of a file; None when it is empty.

    at: where another file names this one, for a file that cannot be read

    Raises FlownetError: `no-file`, `unreadable-file`, `file-too-large`, `not-text`, and all of `read_text`.
    """
    return read_text(_text_of(Path(path), at.span if at else None), str(path), report)


def _text_of(path: Path, at: Span | None) -> str:
    try:
        if path.is_dir():
            raise FlownetError.of("unreadable-file", f"`{path}` is a folder", span=at, help="name a graph file in it")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FlownetError.of(
                "file-too-large",
                f"`{path}` has {size / 2**20:.0f} MiB, a graph file may have {MAX_BYTES >> 20}",
                span=at,
                help="weights and data belong in files of their own (`--weights`, `train: data:`)",
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # a pipe or a device has no size to ask for
    except FileNotFoundError:
        near = _near_files(path)
        raise FlownetError.of("no-file", f"there is no file `{path}`", span=at, help=near) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FlownetError.of("unreadable-file", f"`{path}` cannot be read: {reason.lower()}", span=at) from None
    if b"\0" in data[:4096]:
        help = "a graph file is YAML or JSON in UTF-8; weights go to `--weights`"
        raise FlownetError.of("not-text", f"`{path}` holds binary data, not text", span=at, help=help)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"`{path}` is not UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        raise FlownetError.of("not-text", message, span=at, help="save the file as UTF-8") from None


def _near_files(path: Path) -> str:
    from flownet.errors import near_names

    try:
        return near_names(path.name, [p.name for p in path.parent.iterdir()][:1000])
    except OSError:
        return f"there is no folder `{path.parent}` either"


def read_text(text: str, name: str, report: Report) -> Tree | None:
    """The tree of a YAML or JSON text; None when it holds nothing. Duplicate keys and tags go to `report`.

    Raises FlownetError: `yaml-syntax`, `nested-too-deep`, `too-many-aliases`, `unknown-alias`, `several-documents`.
    """
    file = SourceFile(name, text)
    shielded = _shield(text)
    yaml = YAML(typ="safe", pure=True)
    try:
        return _compose(yaml.parse(shielded), file, report, shielded is not text)
    except MarkedYAMLError as error:
        raise explain(error, file) from None
    except ReaderError as error:
        line, column = _line_and_column(text, error.position)
        span = Span(file, line, column, line, column + 1)
        character = error.character
        code = character if isinstance(character, int) else ord(character[0])
        message = f"the character U+{code:04X} may not stand in a graph file"
        raise FlownetError.of("yaml-syntax", message, span=span, help="remove it") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise FlownetError.of("yaml-syntax", f"`{name}` is no YAML: {error}") from None


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _shield(text: str) -> str:
    if "${" in text:
        text = _EXPRESSION.sub(lambda m: "$" + m[0][1:].translate(_STAND_INS), text)
    return _TYPE.sub(lambda m: m[0].translate(_STAND_INS), text)


class _Open:
    """A list or mapping that is being read."""

    __slots__ = ("anchor", "event", "items", "key", "pairs", "size")

    def __init__(self, event: Any) -> None:
        self.event = event
        self.anchor = event.anchor
        self.items: list[Tree] | None = [] if type(event) is SequenceStartEvent else None
        self.pairs: dict[str, tuple[Scalar, Tree]] = {}
        self.key: Scalar | None = None
        self.size = 1


def _compose(events: Any, file: SourceFile, report: Report, shielded: bool) -> Tree | None:
    stack: list[_Open] = []
    anchors: dict[str, tuple[Tree, int] | None] = {}
    root: Tree | None = None
    aliased = documents = 0
    tree: Tree
    for event in events:
        kind = type(event)
        size = 1
        if kind is ScalarEvent:
            tree = _scalar(event, file, report, shielded)
            if event.anchor:
                anchors[event.anchor] = (tree, 1)
        elif kind is SequenceStartEvent or kind is MappingStartEvent:
            _refuse_tag(event, file, report)
            if len(stack) >= MAX_DEPTH:
                message = f"lists and mappings are nested more than {MAX_DEPTH} levels deep"
                raise FlownetError.of("nested-too-deep", message, span=_point(event, file), help="split it into blocks")
            opened = _Open(event)
            if event.anchor:
                anchors[event.anchor] = None
            stack.append(opened)
            continue
        elif kind is SequenceEndEvent or kind is MappingEndEvent:
            opened = stack.pop()
            tree, size = _closed(opened, event, file), opened.size
            if opened.anchor:
                anchors[opened.anchor] = (tree, size)
        elif kind is AliasEvent:
            if event.anchor not in anchors:
                message = f"there is no anchor `&{event.anchor}` above the alias `*{event.anchor}`"
                raise FlownetError.of("unknown-alias", message, span=_span(event, file))
            target = anchors[event.anchor]
            if target is None:
                message = f"the alias `*{event.anchor}` stands inside of its own anchor"
                raise FlownetError.of("unknown-alias", message, span=_span(event, file))
            tree, size = target
            aliased += size
            if aliased > MAX_ALIASED:
                message = f"aliases add more than {MAX_ALIASED} values to this file"
                raise FlownetError.of(
                    "too-many-aliases", message, span=_span(event, file), help="use blocks with `repeat`"
                )
        elif kind is DocumentStartEvent:
            documents += 1
            if documents > 1:
                help = "remove the `---`, or make it a file of its own"
                raise FlownetError.of(
                    "several-documents", "a second document begins here", span=_span(event, file), help=help
                )
            continue
        elif kind is DocumentEndEvent:
            continue
        else:
            continue
        if not stack:
            root = tree
            continue
        parent = stack[-1]
        parent.size += size
        if parent.items is not None:
            parent.items.append(tree)
        elif parent.key is None:
            parent.key = _key(tree, file, report)
        else:
            _enter(parent, parent.key, tree, report)
            parent.key = None
    return root if not (isinstance(root, Scalar) and root.text == "" and not root.quoted) else None


def _scalar(event: Any, file: SourceFile, report: Report, shielded: bool) -> Scalar:
    start, end = event.start_mark, event.end_mark
    place = (start.line + 1, start.column + 1, end.line + 1, end.column + 1)
    text = event.value
    if shielded and _STANDS_IN.search(text):
        text = text.translate(_BACK)
    if event.tag is not None:
        _refuse_tag(event, file, report)
        return Scalar(file, place, text, text, True, failed=True)
    if event.style is not None:  # quotes or a block scalar
        return Scalar(file, place, text, text, True)
    try:
        return Scalar(file, place, resolve_scalar(text), text)
    except ValueError as error:
        scalar = Scalar(file, place, None, text, failed=True)
        report.error("bad-number", f"{error} is too long", scalar)
        return scalar


def _closed(opened: _Open, end: Any, file: SourceFile) -> Tree:
    start = opened.event.start_mark
    children = opened.items if opened.items is not None else [key for key, _ in opened.pairs.values()]
    if opened.event.flow_style or not children:
        place = (start.line + 1, start.column + 1, end.end_mark.line + 1, end.end_mark.column + 1)
    else:  # a block ends where the next thing begins: show its first line alone
        place = (start.line + 1, start.column + 1, children[0].end_line, children[0].end_column)
    if opened.event.tag is not None:  # refused already: whatever it was meant to be, nobody misses it
        return Scalar(file, place, None, "", failed=True)
    if opened.items is not None:
        return Sequence(file, place, opened.items)
    return Mapping(file, place, opened.pairs)


def _key(tree: Tree, file: SourceFile, report: Report) -> Scalar:
    if isinstance(tree, Scalar):
        if tree.text == "" and not tree.quoted:
            report.error("bad-key", "a key is missing in front of the `:`", tree)
            return Scalar(file, tree.place, None, "", failed=True)
        return tree
    report.error("bad-key", "a list or mapping cannot be a key", tree, help="an expression is written `${…}`")
    return Scalar(file, tree.place, None, "", failed=True)


def _enter(parent: _Open, key: Scalar, tree: Tree, report: Report) -> None:
    first = parent.pairs.get(key.text)
    if first is None:
        parent.pairs[key.text] = (key, tree)
    elif not key.failed:
        report.error(
            "duplicate-key", f"the key `{key.text}` stands here twice", key, f"first in line {first[0].line}",
            help="remove one of them",
        )  # fmt: skip


def _refuse_tag(event: Any, file: SourceFile, report: Report) -> None:
    if event.tag is not None:
        tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
        message = f"tags such as `{tag}` have no meaning in a graph file"
        report.error(
            "yaml-tag", message, _span(event, file), help="remove the tag; write numbers plain and texts in quotes"
        )


def _span(event: Any, file: SourceFile) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(file, start.line + 1, start.column + 1, end.line + 1, max(end.column, start.column + 1) + 1)


def _point(event: Any, file: SourceFile) -> Span:
    start = event.start_mark
    return Span(file, start.line + 1, start.column + 1, start.line + 1, start.column + 2)
