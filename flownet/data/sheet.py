"""A sheet of samples: a grid of examples with their labels, as one picture: what to look at before training."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flownet.data.preparation import Moments
from flownet.data.split import Field, Split, Subset
from flownet.errors import FlownetError, MachineError

__all__ = ["class_colours", "sample_sheet", "save_sheet"]

_GAP, _SMALLEST_SIDE, _PAPER, _INK = 6, 56, (255, 255, 255), (40, 40, 40)


def sample_sheet(split: Split, count: int = 40, columns: int | None = None) -> Image.Image:
    """`count` examples of `split`, evenly spread over it, with the name of their class below.

    A mask is laid beside its image in one colour a class; "no label" is black. Standardised images are shown as they
    were before. Small images are enlarged by whole factors, without smoothing.

    Raises `data-field` when there is no image.
    """
    image_name = next((name for name, field in split.fields.items() if field.kind == "image"), None)
    if image_name is None:
        fields = ", ".join(f"`{name}`" for name in split.fields)
        raise FlownetError.of("data-field", f"a sample sheet shows images, the data have only {fields}")
    count = min(count, len(split))
    batch = split.take(np.arange(count) * len(split) // count)
    field = split.fields[image_name]
    pictures = _to_bytes(batch[image_name], field, _moments_of(split).get(image_name))
    mask_name = next((name for name, f in split.fields.items() if f.kind == "mask"), None)
    if mask_name is None:
        return _grid(pictures, _captions(batch, split.fields), columns)
    mask = split.fields[mask_name]
    pictures = np.concatenate([pictures, _coloured(batch[mask_name], mask)], axis=2)
    return _with_legend(_grid(pictures, _captions(batch, split.fields), columns), mask.classes or ())


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write `sheet` as PNG; `path` holds the old file or the new one whole, never a part. Raises `cannot-write`."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            sheet.save(file, "PNG", optimize=True)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise MachineError.of(
            "cannot-write", f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from None


def class_colours(count: int) -> np.ndarray:
    """uint8[count, 3]: colours that neighbours in number do not share, as PASCAL VOC's bits of the index give them.

    Index 0 would be black there; it is left to "no label", so that class k gets the colour of index k + 1.
    """
    colours = np.zeros((count, 3), np.uint8)
    for k in range(count):
        index = k + 1
        for bit in range(8):
            for channel in range(3):
                colours[k, channel] |= ((index >> channel) & 1) << (7 - bit)
            index >>= 3
    return colours


def _moments_of(split: Split) -> Mapping[str, Moments]:
    if isinstance(split, Subset):
        return _moments_of(split.split)
    return getattr(split, "moments", {})


def _to_bytes(images: np.ndarray, field: Field, moments: Moments | None) -> np.ndarray:
    """uint8[n, h, w, 3] of float[n, c, h, w]; of other than 1 or 3 channels, the first is shown."""
    images = images.astype(np.float32)
    if moments is not None:
        images = images * np.array(moments.std, np.float32).reshape(-1, 1, 1) + np.array(
            moments.mean, np.float32
        ).reshape(-1, 1, 1)
    elif field.range is None:
        low, high = images.min(), images.max()
        images = (images - low) / max(high - low, 1e-12)
    else:
        images = (images - field.range[0]) / (field.range[1] - field.range[0])
    if images.shape[1] != 3:
        images = np.repeat(images[:, :1], 3, axis=1)
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _coloured(masks: np.ndarray, field: Field) -> np.ndarray:
    classes = len(field.classes or ()) or int(masks.max(initial=0)) + 1
    colours = np.concatenate([class_colours(classes), np.zeros((1, 3), np.uint8)])
    labelled = (masks >= 0) & (masks < classes) & (masks != (-1 if field.ignore is None else field.ignore))
    return colours[np.where(labelled, masks, classes)]


def _captions(batch: Mapping[str, np.ndarray], fields: Mapping[str, Field]) -> list[str] | None:
    for name, field in fields.items():
        if field.kind == "label":
            return [field.classes[i] if field.classes else str(i) for i in batch[name].tolist()]
    return None


def _grid(pictures: np.ndarray, captions: list[str] | None, columns: int | None) -> Image.Image:
    count, height, width, _ = pictures.shape
    factor = max(1, -(-_SMALLEST_SIDE // min(height, width)))
    pictures = pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = height * factor, width * factor
    columns = min(count, columns or max(1, round((count * height / width) ** 0.5 * 1.3)))
    rows = -(-count // columns)
    font = ImageFont.load_default(11)
    below = 16 if captions else 0
    cell = height + below + _GAP, width + _GAP
    sheet = Image.new("RGB", (columns * cell[1] + _GAP, rows * cell[0] + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        top, left = _GAP + i // columns * cell[0], _GAP + i % columns * cell[1]
        sheet.paste(Image.fromarray(picture), (left, top))
        if captions:
            draw.text((left, top + height + 1), _fitting(captions[i], width, font), _INK, font)
    return sheet


def _with_legend(sheet: Image.Image, classes: tuple[str, ...]) -> Image.Image:
    """`sheet` with the colour and the name of each class below it, in as many lines as they need."""
    font = ImageFont.load_default(11)
    places, left, line = [], _GAP, 0
    for name in classes:
        width = 16 + round(font.getlength(name)) + 10
        if left + width > sheet.width and left > _GAP:
            left, line = _GAP, line + 1
        places.append((left, sheet.height + line * 16))
        left += width
    out = Image.new("RGB", (sheet.width, sheet.height + 16 * (line + 1) + _GAP), _PAPER)
    out.paste(sheet)
    draw = ImageDraw.Draw(out)
    for name, colour, (x, y) in zip(classes, class_colours(len(classes)).tolist(), places, strict=True):
        draw.rectangle((x, y + 2, x + 11, y + 12), tuple(colour), _INK)
        draw.text((x + 16, y), name, _INK, font)
    return out


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
