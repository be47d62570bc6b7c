"""Image files, by Pillow: as bytes [channels, height, width], of a given size where one is asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageOps

from flownet.data.formats.files import unreadable
from flownet.errors import FlownetError

__all__ = ["SUFFIXES", "Fit", "image_size", "read_image", "read_mask"]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
)
Fit = Literal["crop", "stretch"]

_MODES = {1: "L", 3: "RGB"}
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


def _opened(path: Path | IO[bytes], name: object) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise _bad(name, error) from None


def _bad(name: object, error: Exception) -> FlownetError:
    reason = "it is no image that Pillow knows" if isinstance(error, Image.UnidentifiedImageError) else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
    return unreadable(Path(str(name)), reason)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width, from the header alone, as the picture is seen (a camera's rotation applied)."""
    with _opened(path, path) as image:
        width, height = image.size
        try:
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
        except Exception as error:
            raise _bad(path, error) from None
    return (width, height) if turned else (height, width)


def read_image(
    path: Path | IO[bytes],
    channels: int,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    *,
    name: object = None,
) -> np.ndarray:
    """uint8[channels, height, width]; 1 channel is luma, 3 are red, green, blue.

    size: height and width. `crop` scales until both sides reach it and cuts out the middle, as is usual for ImageNet;
          `stretch` scales each side on its own.
    name: what to call the file in messages, when `path` is an open one

    Raises `data-unreadable`.
    """
    name = name or path
    with _opened(path, name) as image:
        if image.mode not in _EIGHT_BITS:
            raise unreadable(Path(str(name)), f"its pixels are `{image.mode}`, expected 8 bits a channel")
        try:
            if size is not None:
                height, width = size
                # JPEG can decode at 1/2, 1/4, 1/8 of its size, which is several times faster; never below what is asked
                image.draft(_MODES[channels], (width, height))
            picture = ImageOps.exif_transpose(image).convert(_MODES[channels])
        except Exception as error:
            raise _bad(name, error) from None
    if size is not None and picture.size != (width, height):
        if fit == "crop":
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        else:
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if channels == 3 else pixels[None]


def read_mask(path: Path, size: tuple[int, int] | None = None, fit: Fit = "crop") -> np.ndarray:
    """uint8 or int32[height, width] of class indices: grey levels as they are, or the indices into a palette.

    Resized to the nearest pixel: a class is never interpolated. Raises `data-unreadable`, also for a picture in
                                  colours.
    """
    with _opened(path, path) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16"):
            raise unreadable(path, f"a mask holds one class index a pixel, this one has the channels `{image.mode}`")
        try:
            image.load()
        except Exception as error:
            raise _bad(path, error) from None
        picture = image.copy()
    if size is not None and picture.size != (size[1], size[0]):
        if fit == "crop":
            picture = ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.NEAREST)
        else:
            picture = picture.resize((size[1], size[0]), Image.Resampling.NEAREST)
    pixels = np.asarray(picture)
    return pixels.astype(np.uint8 if pixels.dtype in (np.bool_, np.uint8) else np.int32)
