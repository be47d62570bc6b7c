"""TensorBoard events of training runs: a plugin that only listens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from flownet import hookimpl

__all__ = ["FOLDER"]

flownet_api = 1

FOLDER = "tensorboard"
"""The folder in the run's folder that the events go to."""

# one writer for each run that is going on, by the run's identity: several may train in one process
_writers: dict[int, SummaryWriter] = {}


def _wanted(variable: str) -> bool:
    return os.environ.get(variable, "on").lower() not in ("off", "0", "no", "false")


@hookimpl
def flownet_train_start(run: Any) -> None:
    if not _wanted("FLOWNET_TENSORBOARD"):
        return
    # steps behind the checkpoint that a run is resumed from are done again: TensorBoard then drops the old ones
    at = run.trainer.position.step
    writer = SummaryWriter(str(run.folder / FOLDER), purge_step=at + 1 if at else None)
    if run.text:
        writer.add_text("graph", "```yaml\n" + run.text + "\n```", at)
    _writers[id(run)] = writer


@hookimpl
def flownet_train_step(run: Any, record: Mapping[str, Any]) -> None:
    if writer := _writers.get(id(run)):
        figures = {
            "loss": record["loss"],
            "learning_rate": record["learning_rate"],
            "examples_per_s": record["examples_per_s"],
        }
        _scalars(writer, "step", {**figures, **record["metrics"]}, record["step"])


@hookimpl
def flownet_train_epoch(run: Any, record: Mapping[str, Any]) -> None:
    if not (writer := _writers.get(id(run))):
        return
    step = record["step"]
    _scalars(writer, "epoch", {"loss": record["loss"], **record["metrics"]}, step)
    if validation := record.get("validation"):
        _scalars(writer, "validation", {"loss": validation["loss"], **validation["metrics"]}, step)
    if _wanted("FLOWNET_TENSORBOARD_HISTOGRAMS"):
        for name, array in run.session.read().items():
            drawn = array.dtype.kind == "f" and array.size and not name.startswith("optimizer/")
            if drawn and np.isfinite(array).all():  # of infinite weights there is no histogram
                writer.add_histogram(f"weights/{name}", array, step)


@hookimpl
def flownet_train_end(run: Any, result: Mapping[str, Any]) -> None:
    if not (writer := _writers.pop(id(run), None)):
        return
    for split, figures in result.get("metrics", {}).items():
        _scalars(writer, f"final/{split}", figures, run.trainer.position.step)
    writer.close()


def _scalars(writer: SummaryWriter, folder: str, figures: Mapping[str, Any], step: int) -> None:
    for name, value in figures.items():
        if isinstance(value, int | float):
            writer.add_scalar(f"{folder}/{name}", value, step)
