"""Where data lie on this machine: `--data-dir`, else `FLOWNET_DATA`, else the user's own data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flownet.errors import FlownetError

__all__ = ["DataRoot"]


@dataclass(frozen=True)
class DataRoot:
    """The folder in which data are sought, and where that choice came from.

    folder: holds `mnist/`, `cifar-10-batches-bin/`, and what `flownet data add` puts there
    origin: what named it, for messages
    beside: the folder of the graph file; a relative `path:` in the file is sought there first
    stand_ins: name in `folder` -> the place to look instead; lets `flownet data add` check files before it copies them
    """

    folder: Path
    origin: str = "given"
    beside: Path | None = None
    stand_ins: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path | str | DataRoot | None = None, *, beside: Path | None = None) -> DataRoot:
        """The root that `folder` names; without it `FLOWNET_DATA`; without that `$XDG_DATA_HOME/flownet`."""
        if isinstance(folder, DataRoot):
            return folder
        if folder is not None:
            return cls(Path(folder).expanduser(), "--data-dir", beside)
        if named := os.environ.get("FLOWNET_DATA"):
            return cls(Path(named).expanduser(), "FLOWNET_DATA", beside)
        home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return cls(Path(home).expanduser() / "flownet", "the default; FLOWNET_DATA is not set", beside)

    def find(self, dataset: str, folders: tuple[str, ...], names: tuple[str, ...], how: str) -> Path:
        """The first file or folder of `names` in the first of `folders` that has one.

        Raises `data-missing`, which says what was sought, where, and, from `how`, how to get it.
        """
        places = [self.stand_ins.get(folder, self.folder / folder) for folder in folders]
        for place in places:
            for name in names:
                if (place / name).exists():
                    return place / name
        notes = [f"sought in {place}{'' if place.is_dir() else ', which does not exist'}" for place in places]
        raise FlownetError.of(
            "data-missing",
            f"dataset `{dataset}`: no `{'`, no `'.join(names)}`",
            *notes,
            f"the data folder is {self.folder} ({self.origin})",
            help=f"{how}; or name another data folder by FLOWNET_DATA or --data-dir",
        )

    def user_path(self, path: str, *, folder: bool | None = None) -> Path:
        """What `path:` in a graph file means: beside the graph file, else in the working directory, else in the root.

        folder: True when it has to be a folder, False when a file. Raises `data-missing`, `data-wrong-kind`.
        """
        given = Path(path).expanduser()
        bases = [given.parent] if given.is_absolute() else [self.beside, Path.cwd(), self.folder]
        name = given.name if given.is_absolute() else str(given)
        if path in self.stand_ins:
            candidates = [self.stand_ins[path]]
        else:
            candidates = [base / name for base in dict.fromkeys(base for base in bases if base is not None)]
        for candidate in candidates:
            if candidate.exists():
                if folder is not None and candidate.is_dir() != folder:
                    found, expected = ("a folder", "a file") if candidate.is_dir() else ("a file", "a folder")
                    raise FlownetError.of("data-wrong-kind", f"{candidate} is {found}, expected {expected}")
                return candidate
        raise FlownetError.of(
            "data-missing",
            f"no such file or folder: `{path}`",
            *(f"sought {candidate}" for candidate in candidates),
            help="a path is relative to the graph file, the working directory, or the data folder (FLOWNET_DATA)",
        )
