"""The ORL database of faces: 40 people, ten photographs of each."""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.formats.files import truncated, unreadable
from flownet.data.formats.image import read_image
from flownet.data.root import DataRoot
from flownet.data.split import ArraySplit, Field, Splits, Subset
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["OrlFaces"]

_PEOPLE, _FACES, _SIZE = 40, 10, (112, 92)
_MEMBER = re.compile(r"(?:^|/)s(\d+)/(\d+)\.pgm$")
_NAMES = ("orl_faces.tar.gz", "orl_faces", "att_faces.tar.gz", "att_faces", "s1")
_HOW = "put orl_faces.tar.gz of https://cam-orl.co.uk/facedatabase.html, or what is in it, into that folder"


@dataclass(frozen=True, kw_only=True)
class OrlFaces(Dataset):
    """`image` float32[1, 112, 92] in [0, 1], and `label` int32, the person, 0 to 39.

    test_faces: the last so many of each person's ten photographs are for testing, the others to train on
    """

    name = "orl_faces"
    summary = "faces of 40 people, 92×112, ten of each"
    licence = "none stated; credit to Olivetti Research Laboratory is asked for"
    source = "Samaria, Harter 1994, AT&T Laboratories Cambridge, https://cam-orl.co.uk/facedatabase.html"
    folder = "orl-faces"
    archives = ("orl_faces.tar.gz", "att_faces.tar.gz")

    test_faces: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.test_faces < _FACES:
            message = f"option `test_faces` of dataset `orl_faces` is {self.test_faces}, expected 0 to {_FACES - 1}"
            raise FlownetError.of("bad-option", message)

    def read(self, root: DataRoot) -> Splits:
        assert self.folder is not None
        place = root.find(self.name, (self.folder,), _NAMES, _HOW)
        files = _in_archive(place) if place.is_file() else _in_folder(place.parent if place.name == "s1" else place)
        wanted = [(person, face) for person in range(1, _PEOPLE + 1) for face in range(1, _FACES + 1)]
        missing = [f"s{person}/{face}.pgm" for person, face in wanted if (person, face) not in files]
        if missing:
            raise FlownetError.of(
                "data-count",
                f"{place} lacks {len(missing)} of {len(wanted)} faces, `{missing[0]}` the first",
                help="unpack the archive again",
            )
        image = np.stack([_face(place, person, face, files[person, face]) for person, face in wanted])
        label = np.repeat(np.arange(_PEOPLE, dtype=np.int32), _FACES)
        fields = {
            "image": Field(DType.float32, (1, *_SIZE), "image", range=(0, 1)),
            "label": Field(DType.int32, (), "label", tuple(f"s{person}" for person in range(1, _PEOPLE + 1))),
        }
        split = ArraySplit({"image": image, "label": label}, fields, files={"image": place, "label": place})
        is_test = np.arange(len(wanted)) % _FACES >= _FACES - self.test_faces
        splits: Splits = {"train": Subset(split, np.flatnonzero(~is_test))}
        if self.test_faces:
            splits["test"] = Subset(split, np.flatnonzero(is_test))
        return splits


def _face(place: Path, person: int, face: int, content: bytes) -> np.ndarray:
    name = f"{place}: s{person}/{face}.pgm"
    pixels = read_image(io.BytesIO(content), 1, name=name)
    if pixels.shape[1:] != _SIZE:
        found = " × ".join(map(str, pixels.shape[1:]))
        raise FlownetError.of("data-wrong-size", f"{name} is {found} (height × width), expected 112 × 92")
    return pixels


def _in_archive(path: Path) -> dict[tuple[int, int], bytes]:
    # members are read into memory by their number: no name of the archive ever becomes a path
    files = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if (match := _MEMBER.search(member.name)) and (content := archive.extractfile(member)):
                    files[int(match[1]), int(match[2])] = content.read(1 << 20)
    except EOFError:
        raise truncated(
            path, "the end of its gzip stream", f"{path.stat().st_size} bytes that stop before it"
        ) from None
    except (tarfile.TarError, OSError, zlib.error) as error:
        raise unreadable(path, error) from None
    return files


def _in_folder(folder: Path) -> dict[tuple[int, int], bytes]:
    files = {}
    for path in folder.glob("s*/*.pgm"):
        if match := _MEMBER.search(path.as_posix()):
            try:
                files[int(match[1]), int(match[2])] = path.read_bytes()
            except OSError as error:
                raise unreadable(path, error) from None
    return files
