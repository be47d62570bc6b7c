"""The learning curve as a picture: loss above, metrics below, over the epochs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["draw_curve"]


def draw_curve(records: Iterable[Mapping[str, Any]], title: str) -> bytes:
    """A PNG of the log's records: the loss of each step in grey, means of the epochs and validation as lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: no global state, no display
    from matplotlib.figure import Figure

    records = list(records)
    steps = [r for r in records if r["kind"] == "step"]
    epochs = [r for r in records if r["kind"] == "epoch"]
    # a confusion matrix is no curve
    names = [name for name, value in epochs[-1]["metrics"].items() if not isinstance(value, list)] if epochs else []
    figure = Figure(figsize=(8, 3.2 + 2.4 * bool(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1 + bool(names), 1, sharex=True, squeeze=False)[:, 0]
    per_epoch = max(epochs[-1]["step"] / len(epochs), 1) if epochs else 1
    axes[0].plot(
        [r["step"] / per_epoch for r in steps], [r["loss"] for r in steps], color="0.8", lw=0.8, label="each batch"
    )
    ends = [r["epoch"] + 1 for r in epochs]
    axes[0].plot(ends, [r["loss"] for r in epochs], color="C0", marker=".", label="training")
    validated = [r for r in epochs if r.get("validation")]
    at = [r["epoch"] + 1 for r in validated]
    if validated:
        axes[0].plot(at, [r["validation"]["loss"] for r in validated], color="C1", marker=".", label="validation")
    losses = [r["loss"] for r in steps if r["loss"] is not None]
    if losses and min(losses) > 0 and max(losses) > 30 * min(losses):
        axes[0].set_yscale("log")
    axes[0].set_ylabel("loss")
    axes[0].set_title(title)
    for i, name in enumerate(names):
        colour = f"C{2 * i}"
        axes[1].plot(ends, [r["metrics"][name] for r in epochs], color=colour, marker=".", label=f"{name}, training")
        if validated:
            values = [r["validation"]["metrics"][name] for r in validated]
            axes[1].plot(at, values, color=f"C{2 * i + 1}", marker=".", label=f"{name}, validation")
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
