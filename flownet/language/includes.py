"""`include:` — blocks and variables of other files, each read once however many files include it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flownet.errors import FlownetError, near_names
from flownet.language.blocks import Block, read_block
from flownet.language.reading import read_file
from flownet.language.report import Report
from flownet.language.tree import Mapping, Scalar, Sequence, Tree, written
from flownet.language.variables import Variables

__all__ = ["Library"]

_KEYS = ("flownet", "include", "vars", "blocks", "plugins")


@dataclass
class Library:
    """The blocks and variables that a file and all that it includes declare."""

    report: Report
    variables: Variables
    blocks: dict[str, Block] = field(default_factory=dict)
    plugins: list[tuple[Tree, Path]] = field(default_factory=list)
    _read: set[Path] = field(default_factory=set)
    _first: dict[str, Scalar] = field(default_factory=dict)

    def take(self, root: Mapping, folder: Path, path: Path | None) -> None:
        """Take in a file and what it includes."""
        opened = (path.resolve(),) if path is not None else ()
        self._read.update(opened)
        self._take(root, folder, opened, ())

    def _take(self, root: Mapping, folder: Path, opened: tuple[Path, ...], stack: tuple[str, ...]) -> None:
        included = root.get("include")
        if included is not None and not (isinstance(included, Scalar) and included.value is None):
            for item in included.items if isinstance(included, Sequence) else (included,):
                self._include(item, folder, opened, stack)
        self._declare_variables(root.get("vars"), stack)
        self._declare_blocks(root.get("blocks"), stack)
        if (needs := root.get("plugins")) is not None:
            self.plugins.append((needs, folder))

    def _include(self, item: Tree, folder: Path, opened: tuple[Path, ...], stack: tuple[str, ...]) -> None:
        if not (isinstance(item, Scalar) and isinstance(item.value, str)):
            if not (isinstance(item, Scalar) and item.failed):
                help = "write `include: blocks.yaml`, or a list of paths"
                self.report.error(
                    "bad-include", f"`include` takes paths, got {written(item)}", item, help=help, stack=stack
                )
            return
        path = folder / Path(item.value).expanduser()
        resolved = path.resolve()
        if resolved in opened:
            circle = " → ".join(p.name for p in (*opened[opened.index(resolved) :], resolved))
            self.report.error(
                "circular-include",
                f"`{item.value}` includes itself",
                item,
                circle,
                help="move what both need to a third file",
                stack=stack,
            )
            return
        if resolved in self._read:
            return
        self._read.add(resolved)
        try:
            root = read_file(path, self.report, item)
        except FlownetError as error:
            inside = item.span is not None and any(d.span and d.span.file is not item.file for d in error.diagnostics)
            self.report.failure(error, item, stack=(f"included at {item.span}", *stack) if inside else stack)
            return
        if root is None:
            return
        if not isinstance(root, Mapping):
            message = f"`{item.value}` holds {written(root)}, an included file is a mapping with `vars` and `blocks`"
            self.report.error("bad-include", message, item, stack=stack)
            return
        inner = (f"included at {item.span}", *stack) if item.span else stack
        for name, (key, _) in root.pairs.items():
            if name in ("nodes", "inputs", "outputs", "train"):
                message = f"an included file has no `{name}`"
                help = "an included file declares `vars` and `blocks`; make a block of these nodes"
                self.report.error("bad-include", message, key, help=help, stack=inner)
            elif name not in _KEYS:
                help = (
                    near_names(name, _KEYS) or f"the keys of an included file are {', '.join(f'`{k}`' for k in _KEYS)}"
                )
                self.report.error("unknown-key", f"an included file has no key `{name}`", key, help=help, stack=inner)
        self._take(root, path.parent, (*opened, resolved), inner)

    def _declare_variables(self, tree: Tree | None, stack: tuple[str, ...]) -> None:
        if isinstance(tree, Mapping):
            for key, value in tree.pairs.values():
                self.variables.declare(key, value, stack)
        elif tree is not None and not (isinstance(tree, Scalar) and (tree.value is None or tree.failed)):
            help = "write `vars: {width: 6}`"
            self.report.error("bad-form", f"`vars` is a mapping, got {written(tree)}", tree, help=help, stack=stack)

    def _declare_blocks(self, tree: Tree | None, stack: tuple[str, ...]) -> None:
        if not isinstance(tree, Mapping):
            if tree is not None and not (isinstance(tree, Scalar) and (tree.value is None or tree.failed)):
                help = "write `blocks: {name: {inputs: [x], nodes: […]}}`"
                self.report.error(
                    "bad-form", f"`blocks` is a mapping, got {written(tree)}", tree, help=help, stack=stack
                )
            return
        for key, value in tree.pairs.values():
            if (first := self._first.get(key.text)) is not None:
                where = f"first at {first.span}" if first.span else "declared before"
                self.report.error(
                    "duplicate-name",
                    f"the block `{key.text}` is declared twice",
                    key,
                    where,
                    help="rename one of them",
                    stack=stack,
                )
                continue
            self._first[key.text] = key
            block = read_block(key, value, self.variables, self.report)
            if block is not None:
                self.blocks[key.text] = block

    @property
    def broken(self) -> set[str]:
        """The blocks that are declared, and wrong."""
        return set(self._first) - set(self.blocks)
