"""What a user sees while a network trains: a bar on a terminal, a line an epoch everywhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flownet.cli.output import Output, duration

if TYPE_CHECKING:
    from flownet.training.trainer import Progress

__all__ = ["TrainingProgress", "figure"]

_REFRESH = 0.1  # seconds between redraws: a step of a small network takes a thousandth of that


class TrainingProgress:
    """A callback for `flownet.train` that shows where training is; a context that takes the bar away at the end.

    The bar is drawn where people look: on standard output if it is a terminal, else on standard error if that is one.
    """

    def __init__(self, out: Output, quiet: bool = False) -> None:
        self.out, self.quiet = out, quiet
        self.bar: Any = None
        self.task: Any = None
        self._redrawn = 0.0
        self._first: tuple[float, int] | None = None
        self._examples = 0.0
        self._epoch_began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        if not self.quiet:
            self.out.say(text, style)

    def begin(self, run: Any) -> None:
        """Training is about to start: its size is known."""
        section, trainer = run.document.train, run.trainer
        examples = len(run.splits["train"])
        others = ", ".join(f"{len(split):,} {name}" for name, split in run.splits.items() if name != "train")
        self.say(f"data:   {examples:,} examples" + (f", {others}" if others else ""))
        self.say(
            f"run:    {section.epochs} epochs of {len(trainer.batches)} steps, batch {section.batch}, into {run.folder}"
        )
        if trainer.position.step:
            at = trainer.position
            self.say(f"resumed at epoch {at.epoch + 1}, step {at.step:,} of {trainer.steps:,}")
        self._epoch_began = time.monotonic()
        self._make_bar(trainer.steps, trainer.position.step)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.kind == "epoch":
            self._epoch(progress, now)
        elif self.bar is not None and now - self._redrawn > _REFRESH:
            self._redrawn = now
            self._update(progress, now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    # -- the bar -------------------------------------------------------------------------------------------------------

    def _make_bar(self, steps: int, done: int) -> None:
        on_error = not self.out.interactive and sys.stderr.isatty()
        if self.quiet or not (self.out.interactive or on_error):
            return
        from rich.progress import BarColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[figures]}"),
            TextColumn("[dim]{task.fields[speed]}"),
            TextColumn("[cyan]{task.fields[left]}"),
            console=self.out.errors if on_error else self.out.console,
            transient=True,
            expand=True,
            auto_refresh=False,  # redrawn by the training loop: a thread would compete with it for Python's lock
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=steps, completed=done, epoch="starting", figures="", speed="", left="")
        self.bar.refresh()

    def _update(self, progress: Progress, now: float) -> None:
        if self._first is None:
            self._first = now, progress.step
        began, first = self._first
        done = progress.step - first
        left = f"{duration((now - began) / done * (progress.steps - progress.step))} left" if done else ""
        # the batch's own speed is noisy: a running mean
        speed = progress.examples_per_s
        self._examples = speed if not self._examples else 0.8 * self._examples + 0.2 * speed
        figures = [
            f"loss {progress.loss:.4f}",
            *(f"{name} {figure(name, value)}" for name, value in progress.metrics.items()),
        ]
        self.bar.update(
            self.task, completed=progress.step, epoch=f"epoch {progress.epoch + 1}/{progress.epochs}",
            figures=" ".join(figures[:3]), speed=f"{self._examples:,.0f}/s", left=left, refresh=True,
        )  # fmt: skip

    def _epoch(self, progress: Progress, now: float) -> None:
        seconds, self._epoch_began = now - self._epoch_began, now
        parts = [
            f"epoch {progress.epoch + 1:>{len(str(progress.epochs))}}/{progress.epochs}",
            f"loss {progress.loss:.4f}",
        ]
        parts += [f"{name} {figure(name, value)}" for name, value in progress.metrics.items()]
        if progress.validation is not None:
            parts.append(f"validation loss {progress.validation.loss:.4f}")
            parts += [f"{name} {figure(name, value)}" for name, value in progress.validation.metrics.items()]
        parts.append(duration(seconds))
        if _is_told(progress.epoch + 1, progress.epochs):
            self.say("  ".join(parts))


def _is_told(epoch: int, epochs: int, most: int = 40) -> bool:
    """Whether an epoch gets a line: all of them, or about `most` of them where there are many."""
    return epochs <= most or epoch in (1, epochs) or epoch % -(-epochs // most) == 0


_SHARES = ("accuracy", "iou", "precision", "recall")


def figure(name: str, value: float | list | None) -> str:
    """A figure for people: shares as percents, of a matrix the size (`--json` and the log hold all of it).

    >>> figure("accuracy", 0.98765), figure("loss", 0.04321), figure("loss", None)
    ('98.77%', '0.0432', '–')
    >>> figure("confusion_matrix", [[44, 1], [0, 45]])
    '2×2 numbers'
    """
    if value is None:
        return "–"
    if isinstance(value, list):
        return f"{len(value)}×{len(value[0])} numbers" if isinstance(value[0], list) else f"{len(value)} numbers"
    if any(share in name for share in _SHARES):
        return f"{100 * value:.2f}%"
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.3e}"
