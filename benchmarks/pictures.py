"""The pictures of docs/images: curves, reconstructions, predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

__all__ = ["CAMVID", "camvid", "copy", "faces", "losses", "unstandardised"]

# the classes and the colours of SegNet's figures
CAMVID = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128), "pavement": (60, 40, 222),
    "tree": (128, 128, 0), "sign": (192, 128, 128), "fence": (64, 64, 128), "car": (64, 0, 128), "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}  # fmt: skip
VOID = (0, 0, 0)


def copy(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copyfile(source, target)


def unstandardised(images: np.ndarray) -> np.ndarray:
    """Images of any mean and scale, each brought to 0 … 1 for showing."""
    low, high = (np.percentile(images, q, axis=(1, 2, 3), keepdims=True) for q in (0.5, 99.5))
    return np.clip((images - low) / (high - low), 0, 1)


def losses(path: Path, curves: dict[str, list[float]], title: str, mean_of: int = 20) -> None:
    figure, axes = plt.subplots(figsize=(6, 3.5))
    for name, curve in curves.items():
        width = min(mean_of, len(curve))
        mean = np.convolve(curve, np.ones(width) / width, "valid")
        axes.plot(np.arange(width, len(curve) + 1), mean, label=name)
    axes.axhline(np.log(10), color="grey", linewidth=0.8, linestyle=":", label="guessing: ln 10")
    axes.set(xlabel="step", ylabel="loss", title=title)
    axes.title.set_size(9)
    axes.legend()
    save(figure, path)


def faces(path: Path, images: np.ndarray, found: np.ndarray, filters: np.ndarray) -> None:
    """Three rows: photographs that training has not seen, what comes back through the code, and the first layer's filters."""
    figure, rows = plt.subplots(3, len(images), figsize=(1.1 * len(images), 3.6))
    for column, (image, back) in enumerate(zip(images, found, strict=True)):
        rows[0, column].imshow(image[0], cmap="gray", vmin=0, vmax=1)
        rows[1, column].imshow(back[0], cmap="gray", vmin=0, vmax=1)
        rows[2, column].imshow(filters[column, 0], cmap="gray")
    bare(rows)
    save(figure, path)


def camvid(path: Path, images: np.ndarray, masks: np.ndarray, predicted: np.ndarray) -> None:
    """A row an image: the image, the truth (void black), the prediction; the classes' colours below."""
    colours = np.array([*CAMVID.values(), VOID], np.uint8)
    figure, rows = plt.subplots(len(images), 3, figsize=(6.6, 1.7 * len(images) + 0.6))
    for row, image, mask, found in zip(rows, images, masks, predicted, strict=True):
        for axes, shown in zip(row, (image.transpose(1, 2, 0), colours[mask], colours[found]), strict=True):
            axes.imshow(shown)
    for axes, title in zip(rows[0], ("image", "truth", "prediction"), strict=True):
        axes.set_title(title, size=8)
    bare(rows)
    patches = [plt.Rectangle((0, 0), 1, 1, color=np.array(colour) / 255) for colour in CAMVID.values()]
    figure.legend(patches, CAMVID, loc="lower center", bbox_to_anchor=(0.5, 0.03), ncols=6, fontsize=6, frameon=False)
    figure.text(0.5, 0.0, "images: CamVid (Brostow, Fauqueur, Cipolla 2009), CC BY-NC 4.0", ha="center", size=6)
    figure.subplots_adjust(bottom=0.12, wspace=0.03, hspace=0.03)
    save(figure, path)


def bare(rows: np.ndarray) -> None:
    for axes in rows.ravel():
        axes.axis("off")


def save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(figure)
