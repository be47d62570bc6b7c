"""Arrays from the files that users have, and back: .npy, .npz, JSON, pictures."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flownet.cli.files import write_bytes
from flownet.errors import FlownetError
from flownet.executor.session import as_input
from flownet.types import TensorType

__all__ = ["read_inputs", "write_arrays"]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


def read_inputs(
    types: Mapping[str, TensorType], files: Mapping[str, Sequence[str]], *, resize: bool
) -> dict[str, np.ndarray]:
    """The arrays for inputs of these types. Under the name "" are files that hold several inputs by name.

    Raises FlownetError: `no-input-file`, `bad-input-file`, `input-mismatch`.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, given in files.items():
        if not name:
            for file in given:
                arrays.update(_npz(file))
            continue
        parts = [_read(file, name, types[name], resize) for file in given]
        if len(parts) > 1 and len({part.shape[1:] for part in parts}) > 1:
            shapes = ", ".join(f"{file}: {list(part.shape[1:])}" for file, part in zip(given, parts, strict=True))
            raise FlownetError.of(
                "input-mismatch",
                f"the files for `{name}` cannot be one batch",
                shapes,
                help="`--resize` scales pictures",
            )
        arrays[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return {name: _as_type(name, array, types[name]) if name in types else array for name, array in arrays.items()}


def write_arrays(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by the file's ending. Raises FlownetError (`bad-output-file`), MachineError (`cannot-write`)."""
    ending = Path(path).suffix.lower()
    if ending == ".json":
        data = json.dumps({name: array.tolist() for name, array in arrays.items()}).encode()
    elif ending in (".npz", ".npy"):
        buffer = io.BytesIO()
        if ending == ".npz":
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
        elif len(arrays) == 1:
            np.save(buffer, next(iter(arrays.values())))
        else:
            raise FlownetError.of(
                "bad-output-file", f"a .npy holds one array, there are {len(arrays)} outputs", help="write an .npz"
            )
        data = buffer.getvalue()
    else:
        raise FlownetError.of("bad-output-file", f"`{path}` is neither .npz, .npy nor .json")
    write_bytes(path, data)


def _read(file: str, name: str, type: TensorType, resize: bool) -> np.ndarray:
    if file.lstrip().startswith("["):
        return _json(file, "the value given")
    path, _, key = file.partition(":") if ".npz:" in file else (file, "", "")
    path = str(Path(path).expanduser())
    ending = Path(path).suffix.lower()
    if not Path(path).is_file():
        raise FlownetError.of(
            "no-input-file", f"there is no file `{path}`", help="a list can be given at once: `--input 'x=[[0, 1]]'`"
        )
    try:
        if ending == ".npz":
            return _one_of(_npz(path), key or name, path)
        if ending == ".npy":
            return _npy(path)
        if ending == ".json":
            found = json.loads(Path(path).read_text())
            return _json(found[name] if isinstance(found, dict) and name in found else found, path)
    except (OSError, ValueError, EOFError, UnicodeDecodeError) as error:
        raise FlownetError.of("bad-input-file", f"`{path}` cannot be read: {str(error).splitlines()[0]}") from None
    if ending in _PICTURES:
        return _picture(path, name, type, resize)
    raise FlownetError.of(
        "bad-input-file",
        f"`{path}` is of no kind that is known",
        help=f"give .npy, .npz, .json or a picture ({', '.join(_PICTURES)})",
    )


def _npz(path: str) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise FlownetError.of("no-input-file", f"there is no file `{path}`")
    if not zipfile.is_zipfile(path):
        raise _no_numpy(path, ".npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, zlib and NumPy each have errors of their own
        raise _objects(path) if "allow_pickle" in str(error) else _damaged(path, error) from None


def _npy(path: str) -> np.ndarray:
    with open(path, "rb") as file:
        if file.read(len(_NPY)) != _NPY:
            raise _no_numpy(path, ".npy")
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header is Python text, and can fail in any way in which that can
        raise _objects(path) if "allow_pickle" in str(error) else _damaged(path, error) from None


_NPY = b"\x93NUMPY"


def _no_numpy(path: str, ending: str) -> FlownetError:
    what = "it is empty" if not Path(path).stat().st_size else f"it does not begin as an {ending} does"
    return FlownetError.of(
        "bad-input-file", f"`{path}` is no {ending} file, in spite of its name", what,
        help=f"write it by `numpy.save{'z' if ending == '.npz' else ''}`, or give .json or a picture",
    )  # fmt: skip


def _objects(path: str) -> FlownetError:
    return FlownetError.of(
        "bad-input-file", f"`{path}` holds Python objects, not numbers",
        "objects are stored as pickles, which can run any code as they are read",
        help="save it again with numbers only: `array.astype(float)` says what is none",
    )  # fmt: skip


def _damaged(path: str, error: Exception) -> FlownetError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return FlownetError.of("bad-input-file", f"`{path}` is damaged, or cut off: {reason}", help="write it again")


def _one_of(arrays: Mapping[str, np.ndarray], key: str, path: str) -> np.ndarray:
    if key in arrays:
        return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise FlownetError.of(
        "bad-input-file", f"`{path}` holds no array `{key}`", help=f"it holds {', '.join(arrays)}: write `{path}:NAME`"
    )


def _json(value: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(json.loads(value) if isinstance(value, str) else value)
    except ValueError as error:
        raise FlownetError.of("bad-input-file", f"{where} is no array: {str(error).splitlines()[0]}") from None
    if array.dtype.kind not in "biuf":
        raise FlownetError.of(
            "bad-input-file",
            f"{where} is no array of numbers",
            help="write lists of numbers, all of one length: [[0, 1], [1, 1]]",
        )
    return array


def _picture(path: str, name: str, type: TensorType, resize: bool) -> np.ndarray:
    """float32[1, channels, height, width] from 0 to 1; the channels are those that the graph takes."""
    from PIL import Image, UnidentifiedImageError

    if type.rank != 4 or type.shape[1] not in (1, 3):
        raise FlownetError.of(
            "input-mismatch", f"`{name}` is {type}, which is no picture", help="give .npy, .npz or .json"
        )
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if type.shape[1] == 1 else "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise FlownetError.of("bad-input-file", f"`{path}` cannot be read as a picture: {error}") from None
    height, width = type.shape[2:]
    fits = [
        not isinstance(want, int) or want == got
        for want, got in zip((height, width), (image.height, image.width), strict=True)
    ]
    if not all(fits):
        if not resize:
            raise FlownetError.of(
                "input-mismatch", f"`{path}` is {image.height}×{image.width} (height × width), `{name}` is {type}",
                help="`--resize` scales it",
            )  # fmt: skip
        size = (width if isinstance(width, int) else image.width, height if isinstance(height, int) else image.height)
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=None)
    pixels = np.asarray(image, np.float32) / 255
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]


def _as_type(name: str, array: np.ndarray, type: TensorType) -> np.ndarray:
    """The array as the input's element type, where no value changes its meaning; one example becomes a batch of one."""
    if type.dtype.is_float and array.dtype == np.uint8 and type.rank == 4:
        raise FlownetError.of(
            "input-mismatch",
            f"`{name}` is {type}, the array holds bytes",
            help="divide by 255 first: pixels are floats from 0 to 1",
        )
    if array.ndim == type.rank - 1 and not isinstance(type.shape[0], int):
        array = array[None]
    return as_input(name, array, type)
