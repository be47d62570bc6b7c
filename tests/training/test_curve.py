"""The learning curve: a PNG that shows what the log holds, for every shape that a log has."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flownet.training.curve import draw_curve


def record(kind: str, step: int, loss: float | None, validation: bool = False, **metrics: Any) -> dict[str, Any]:
    held_out = {"loss": 2 * (loss or 0), "metrics": metrics} if validation else None
    return {
        "kind": kind,
        "epoch": (step - 1) // 10,
        "step": step,
        "loss": loss,
        "metrics": metrics,
        "validation": held_out,
    }


def log(epochs: int, validation: bool = False, **metrics: Any) -> list[dict[str, Any]]:
    records = []
    for step in range(1, 10 * epochs + 1):
        records.append(record("step", step, 100 / step, **metrics))
        if step % 10 == 0:
            records.append(record("epoch", step, 100 / step, validation, **metrics))
    return records


def pixels(records: list[dict[str, Any]]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_curve(records, "title"))).convert("RGB"))


@pytest.mark.parametrize(
    "records",
    [
        log(3, accuracy=0.9),
        log(3, validation=True, accuracy=0.9),
        log(3, validation=True, accuracy=0.9, iou=0.5),
        log(3, validation=True, accuracy=0.9, confusion_matrix=[[3, 1], [0, 4]]),
        log(3, confusion_matrix=[[3, 1], [0, 4]]),
        log(1),
        log(0),
        [record("step", 1, None), record("epoch", 10, None)],
        [record("step", 1, -3.0), record("step", 2, 500.0)],
    ],
    ids=[
        "metrics",
        "validation",
        "two metrics",
        "a matrix too",
        "a matrix alone",
        "one epoch",
        "nothing",
        "not finite",
        "negative",
    ],
)
def test_every_log_has_a_curve(records: list[dict[str, Any]]) -> None:
    image = pixels(records)
    assert image.shape[1] == 960
    assert (image[0, 0] == 255).all()


def test_the_curve_shows_the_training_loss_in_blue_and_validation_in_orange() -> None:
    def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(image.astype(int) - colour).sum(axis=2) < 12).sum() > 30)

    blue, orange = (31, 119, 180), (255, 127, 14)  # matplotlib's C0 and C1
    assert has(pixels(log(5)), blue)
    assert not has(pixels(log(5)), orange)
    assert has(pixels(log(5, validation=True)), orange)


def test_metrics_get_a_panel_of_their_own() -> None:
    assert pixels(log(2, accuracy=0.5)).shape[0] > pixels(log(2)).shape[0]
