"""What names stand for while a file is being expanded: nodes, uses of blocks, inputs, and where to look them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flownet.language.tree import Tree

__all__ = [
    "FIRST",
    "UNKNOWN",
    "Entity",
    "FlatNode",
    "GraphInput",
    "Instance",
    "Link",
    "Output",
    "Ref",
    "Scope",
    "Target",
    "alias",
    "as_target",
]

UNKNOWN = "?"
"""Stands among the inputs of a scope whose inputs could not be read: nobody complains of missing ones."""
FIRST = ""
"""Stands for the argument of an input taken from the node above, unless `in` names the op's first input."""


@dataclass(eq=False, slots=True)
class FlatNode:
    """A node of an op. `inputs` are (argument or None for the next one in order, where it comes from)."""

    name: str
    op: Any
    inputs: list[tuple[str | None, Target | None, Tree]]
    at: Tree
    stack: tuple[str, ...] = ()
    share: Ref | None = None
    freeze: bool = False
    init: Tree | None = None
    own_init: bool = False
    device: str | None = None
    chained: bool = False


@dataclass(eq=False, slots=True)
class Instance:
    """One use of a block: its outputs by name, the main one first."""

    name: str
    at: Tree
    outputs: dict[str, Target]
    failed: bool = False


@dataclass(eq=False, slots=True)
class GraphInput:
    """An input of the graph."""

    name: str
    at: Tree | None = None


@dataclass(eq=False, slots=True)
class Output:
    """The output number `index` of a node."""

    node: FlatNode
    index: int


@dataclass(eq=False, slots=True)
class Link:
    """An output of something already found; `output` None means its main one."""

    entity: Entity
    output: str | None = None
    at: Tree | None = None


@dataclass(eq=False, slots=True)
class Ref:
    """A name as a user wrote it, to be looked up in a scope."""

    scope: Scope
    text: str
    at: Tree


Entity = FlatNode | Instance
Target = GraphInput | Output | Link | Ref


@dataclass(eq=False, slots=True)
class Scope:
    """Where names are looked up: the top of the file, or the inside of one use of a block.

    outer:   where the block is used, in which `share` is looked up
    around:  a scope whose names are seen too: what the loss and the metrics see of the graph
    targets: names that nothing has are inputs of the graph, kept here: the data's fields, for loss and metrics
    """

    prefix: str
    names: Mapping[str, Any]
    inputs: dict[str, Target | None]
    stack: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    share: Tree | str | None = None
    freeze: bool = False
    init: Tree | None = None
    device: str | None = None
    outer: Scope | None = None
    around: Scope | None = None
    targets: dict[str, GraphInput] | None = None
    entities: dict[str, Entity | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


def as_target(found: Entity | Target | None) -> Target | None:
    """What `Expansion.sequence` and `node` return, as something to take a value from."""
    return Link(found) if isinstance(found, FlatNode | Instance) else found


def alias(name: str, target: Target, at: Tree) -> Instance:
    """What a node that is repeated no times stands for: its own input."""
    return Instance(name, at, {"y": target})
