"""What an error of OpenCL means to a user: too little memory, a kernel that does not compile, or a device that failed.

Which of them it is follows from the code alone. `OUT_OF_RESOURCES` is the doubtful one: drivers give it for too little memory as well
as for a kernel that reached beyond its buffers, so that it is told as a failure, with what the device holds beside it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flownet.errors import FlownetError, MachineError
from flownet.graph import Node
from flownet.kernels import Template

__all__ = ["Part", "build_error", "is_of_the_build", "lacks_memory", "numbered", "parts_of"]

_LACK = (-4, -6)  # MEM_OBJECT_ALLOCATION_FAILURE, OUT_OF_HOST_MEMORY
_BUILD = (-11, -15, -17, -43, -66, -67)  # *_PROGRAM_FAILURE of building, compiling, linking; INVALID_*_OPTIONS
_MOST_NODES = 5


@dataclass(frozen=True)
class Part:
    """The lines of a program's source, counted from 1, that compute these nodes."""

    first: int
    last: int
    nodes: tuple[Node, ...]


def parts_of(before: Sequence[str], functions: Iterable[tuple[str, Iterable[Node]]]) -> tuple[Part, ...]:
    """The parts of a source that is `before` and the functions, joined by newlines."""
    line = 1 + sum(text.count("\n") + 1 for text in before)
    parts = []
    for text, nodes in functions:
        behind = line + text.count("\n") + 1
        parts.append(Part(line, behind - 1, tuple({node.name: node for node in nodes}.values())))
        line = behind
    return tuple(parts)


def lacks_memory(error: Exception) -> bool:
    """Whether it says that an allocation failed."""
    return isinstance(error, MemoryError) or getattr(error, "code", 0) in _LACK


def is_of_the_build(error: Any) -> bool:
    """Whether it is the compiler's, not the device's."""
    return error.code in _BUILD


def build_error(text: str, source: str, what: str, device: str, parts: Sequence[Part] = ()) -> FlownetError:
    """The error of a source that does not compile: the nodes concerned, the compiler's words, the lines that they are about.

    It is the user's mistake (exit status 1) where it is about OpenCL C that an op's author wrote, else the machine's.
    """
    wanted = sorted(
        {int(n) for n in re.findall(r":(\d+):\d+: (?:fatal )?error", text)}
        or {int(n) for n in re.findall(r":(\d+):\d+:", text)}
    )
    named = [node for part in parts if any(part.first <= line <= part.last for line in wanted) for node in part.nodes]
    nodes = named or [node for part in parts for node in part.nodes]
    excerpts = [numbered(source, number) for number in wanted[:3]]
    with tempfile.NamedTemporaryFile("w", suffix=".cl", prefix="flownet-", delete=False) as file:
        file.write(source)
    written = any(isinstance(node.op, Template) for node in named)
    error = (FlownetError if written else MachineError).of(
        "kernel-build", f"`{device}` does not compile the kernels of {what}", *_told(nodes, bool(named)), text[:4000], *excerpts,
        f"the whole source is in {file.name}",
        help="if a plugin brings this kernel, mend it there; `--device cpu` runs without kernels" if written
        else "update the driver, or use another `--device`; `--device cpu` runs without kernels",
    )  # fmt: skip
    return error.placed([span for node in named for span in node.origin.spans])


def numbered(source: str, number: int) -> str:
    """A line of the source between its neighbours, with their numbers."""
    lines = source.splitlines()
    around = range(max(0, number - 3), min(len(lines), number + 2))
    return "\n".join(f"{'>' if i + 1 == number else ' '}{i + 1:5} | {lines[i]}" for i in around)


def _told(nodes: Sequence[Node], named: bool) -> list[str]:
    """Which nodes are concerned, and where they stand."""
    if not nodes:
        return []
    told = []
    for node in nodes[:_MOST_NODES]:
        spans = node.origin.spans
        told.append(f"`{node.name}`" + (f" ({spans[0].file.name}:{spans[0].line})" if spans else ""))
    more = f" and {len(nodes) - _MOST_NODES} more" if len(nodes) > _MOST_NODES else ""
    who = "these lines compute" if named else "the compiler names no line; the program computes"
    return [f"{who} {', '.join(told)}{more}"]
