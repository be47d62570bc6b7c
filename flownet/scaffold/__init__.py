"""What `flownet op new` writes: the folder `op` is the package, with `op_name`, `OpName` and `op-name` for the names."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from flownet.errors import FlownetError, MachineError
from flownet.registry import Registry

__all__ = ["write_op_package"]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_op_package(name: str, parent: Path, registry: Registry) -> tuple[Path, list[Path]]:
    """The folder of a new plugin package for the op `name`, below `parent`, and the files in it.

    Raises FlownetError: `bad-name`; `name-taken` for the name of an op that is installed; `folder-exists`.
    Raises MachineError (`cannot-write`).
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise FlownetError.of(
            "bad-name",
            f"`{name}` cannot be the name of an op",
            help="take lower-case letters, digits and single `_`: `squeeze_excitation`",
        )
    if registry.find("op", name) is not None:
        raise FlownetError.of(
            "name-taken",
            f"there is an op `{name}` already, it comes from `{registry.owner('op', name)}`",
            help="take another name",
        )
    spellings = {
        "op_name": name,
        "op-name": name.replace("_", "-"),
        "OpName": "".join(part.capitalize() for part in name.split("_")),
    }
    folder = parent / f"flownet-{spellings['op-name']}"
    if folder.exists():
        raise FlownetError.of(
            "folder-exists", f"`{folder}` is there already", help="remove it, or name another place by `--out`"
        )
    try:
        return folder, list(_written(files(__name__) / "op", folder, spellings))
    except OSError as error:
        raise MachineError.of("cannot-write", f"`{folder}` cannot be written: {error.strerror or error}") from None


def _written(source: Traversable, target: Path, spellings: dict[str, str]) -> list[Path]:
    """Copy a folder, names and texts respelt; `.txt` at the end keeps Python and pytest from taking the originals for code."""
    target.mkdir(parents=True)
    made = []
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        name = _respelt(entry.name.removesuffix(".txt"), spellings)
        if entry.is_dir():
            made += _written(entry, target / name, spellings)
        elif entry.name.endswith(".txt"):
            (target / name).write_text(_respelt(entry.read_text(encoding="utf-8"), spellings), encoding="utf-8")
            made.append(target / name)
    return made


def _respelt(text: str, spellings: dict[str, str]) -> str:
    for written, wanted in spellings.items():
        text = text.replace(written, wanted)
    return text
