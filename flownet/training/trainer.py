"""The training loop: what happens between batches. All arithmetic is in the plan; this decides nothing but the order.

Everything that a run's future depends on is in its `Position` and in the session's arrays, so that a run which is
killed and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from flownet.data.batches import Batches
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Graph
from flownet.training.training_graph import LEARNING_RATE, STEP, evaluation_graph, training_graph

__all__ = ["Evaluation", "Position", "Progress", "Trainer", "evaluate_split"]


@dataclass
class Totals:
    """Sums over the batches seen: from them the mean loss and every metric follow."""

    examples: int = 0
    loss: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)

    def add(self, examples: int, loss: float, statistics: Mapping[str, np.ndarray]) -> None:
        self.examples += examples
        self.loss += loss * examples
        for name, array in statistics.items():
            # lists, so that a checkpoint's JSON holds them exactly; float64, so that counts stay exact
            total = np.asarray(self.metrics.get(name, 0.0), np.float64) + np.asarray(array, np.float64)
            self.metrics[name] = total.tolist()


@dataclass
class Position:
    """Where in the data a run is, and what it remembers: `epoch` and `batch` count from 0, `step` is batches done."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    totals: Totals = field(default_factory=Totals)
    best: float | None = None
    best_epoch: int = -1
    patience_used: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        return cls(**{**data, "totals": Totals(**data["totals"])})


@dataclass(frozen=True)
class Evaluation:
    """Figures over a split."""

    loss: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Progress:
    """What happened: one batch (`kind` "step"), or the end of an epoch ("epoch").

    loss, metrics: of the batch for a step, means over the epoch for an epoch
    validation:    figures on the held-out split, at the end of an epoch and where there is one
    """

    kind: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    metrics: Mapping[str, float]
    learning_rate: float
    examples_per_s: float
    validation: Evaluation | None = None
    waited_s: float = 0.0


class Trainer:
    """Runs a `TrainSection` in a session.

    splits: the dataset's splits by name; `train` is trained on, `validation`, if there is one, is measured every epoch
    """

    def __init__(self, session: Session, section: Any, splits: Mapping[str, Any]) -> None:
        self.session, self.section, self.splits = session, section, splits
        self.graph: Graph = training_graph(section)
        self.evaluation: Graph = evaluation_graph(section)
        self.batches = Batches(
            splits["train"], section.batch, section.seed, augment=section.data.augment, drop_last=True
        )
        self.steps = section.epochs * len(self.batches)
        self.position = Position()
        self.stopped = ""  # why training ended before its last epoch: "interrupted", "early stopping", or nothing
        self._stop = False
        self._snapshot: tuple[Position, dict[str, np.ndarray]] | None = None
        session.initialise(self.graph)

    def stop(self) -> None:
        """End after the step that is running: what Ctrl-C does."""
        self._stop = True

    def run(self, every_step: Callable[[], None] | None = None) -> Iterator[Progress]:
        """Train to the end, yielding what happens.

        every_step: called between steps, when arrays and position agree: the moment for a checkpoint

        Raises FlownetError (`not-finite`) when the loss is NaN or infinite, naming the step and the node that was first.
        """
        while self.position.epoch < self.section.epochs and not self._stop:
            yield from self._epoch(every_step)
            if self.stopped:
                return
        if self._stop:
            self.stopped = "interrupted"

    def evaluate(self, split: str) -> Evaluation:
        """Loss and metrics over a split, each example once."""
        return evaluate_split(self.session, self.section, self.evaluation, self.splits[split])

    # -- one epoch ---------------------------------------------------------------------------------------------------------

    def _epoch(self, every_step: Callable[[], None] | None) -> Iterator[Progress]:
        at = self.position
        batches = self.batches.epoch(at.epoch, at.batch)
        batch = next(batches, None)
        plan = self.session.plan(self.graph, self._sizes(batch)) if batch else None
        fed_ahead = False
        while batch is not None:
            assert plan is not None
            if at.batch % SNAPSHOT_EVERY == 0 or self._snapshot is None:
                self._snapshot = None  # the old one goes before the new one comes: each is all parameters and states
                self._snapshot = (Position.from_json(at.to_json()), self.session.read())
            started = time.perf_counter()
            with self.session.in_turn:  # another thread may run inference between steps
                if not fed_ahead:
                    self._feed(plan.program, batch, at.step)
                plan.program.run()
                following = next(
                    batches, None
                )  # prepared, and brought to the device, while an asynchronous one computes
                if fed_ahead := following is not None and plan.program.feeds_while_running:
                    self._feed(plan.program, following, at.step + 1)
                loss = float(plan.program.fetch("loss"))
                if not math.isfinite(loss):
                    raise self._not_finite(loss)
                statistics = {n: plan.program.fetch(n) for n in self.graph.outputs if n.startswith("metrics/")}
            statistics = _statistics(statistics)
            at.totals.add(self.section.batch, loss, statistics)
            rate = self._rate(at.step)
            at.step, at.batch = at.step + 1, at.batch + 1
            seconds = time.perf_counter() - started
            batch = following
            yield self._progress("step", loss, statistics, rate, self.section.batch / max(seconds, 1e-9))
            if every_step:
                every_step()
            if self._stop:
                batches.close()
                return
        validation = self.evaluate("validation") if "validation" in self.splits else None
        totals = at.totals
        mean = totals.loss / max(totals.examples, 1)
        # not the last step's own variable: a run that is resumed at the end of an epoch has had no step
        done = self._progress("epoch", mean, totals.metrics, self._rate(at.step - 1), math.nan, validation)
        self._early_stopping(done)
        at.epoch, at.batch, at.totals = at.epoch + 1, 0, Totals()
        yield done
        if every_step:
            every_step()

    def _progress(
        self, kind: str, loss: float, statistics: Mapping[str, Any], rate: float, speed: float,
        validation: Evaluation | None = None,
    ) -> Progress:  # fmt: skip
        at = self.position
        return Progress(
            kind, at.epoch, self.section.epochs, at.step, self.steps, loss, summarised(self.section, statistics), rate, speed,
            validation, self.batches.waited_s,
        )  # fmt: skip

    def _feed(self, program: Any, batch: Mapping[str, np.ndarray], step: int) -> None:
        for name, array in fed(self.section, self.graph, batch).items():
            program.feed(name, array)
        program.feed(LEARNING_RATE, np.asarray(self._rate(step)))
        program.feed(STEP, np.asarray(step + 1))

    def _rate(self, step: int) -> float:
        section = self.section
        base = section.optimizer.learning_rate
        return float(section.schedule.rate(step, self.steps, len(self.batches), base) if section.schedule else base)

    def _sizes(self, batch: Mapping[str, np.ndarray]) -> dict[str, int]:
        from flownet.executor.session import sizes_of

        scalars = {LEARNING_RATE: np.asarray(0.0), STEP: np.asarray(0.0)}
        return sizes_of(self.graph, {**fed(self.section, self.graph, batch), **scalars})

    # -- stopping ----------------------------------------------------------------------------------------------------------

    def _early_stopping(self, done: Progress) -> None:
        rule = self.section.early_stopping
        if not rule:
            return
        figures = done.validation or Evaluation(done.loss, done.metrics)
        monitor = rule.get("monitor", "loss")
        value = figures.loss if monitor == "loss" else figures.metrics[monitor]
        better = -value if monitor == "loss" else value
        at = self.position
        if at.best is None or better > at.best + rule.get("min_delta", 0.0):
            at.best, at.best_epoch, at.patience_used = better, at.epoch, 0
            return
        at.patience_used += 1
        if at.patience_used >= rule["patience"]:
            self.stopped = "early stopping"

    def _not_finite(self, loss: float) -> FlownetError:
        """Replay from the last snapshot, which is exact, and look at every value of the step that failed."""
        failed = self.position
        assert self._snapshot is not None
        start, arrays = self._snapshot
        self.session.write(arrays)
        self.position = start
        plan, node = None, None
        for batch in self.batches.epoch(start.epoch, start.batch):
            plan = plan or self.session.plan(self.graph, self._sizes(batch))
            self._feed(plan.program, batch, start.step)
            if start.step == failed.step:
                node = plan.program.run_checked()
                break
            plan.program.run()
            start.step, start.batch = start.step + 1, start.batch + 1
        origin = plan.graph.nodes[node].origin if plan and node else None
        bad_input = plan is not None and node is not None and self._fed_bad(batch)
        notes = [f"the first value that is not finite comes from the node `{node}`"] if node else []
        if bad_input:
            notes.append("the data themselves hold NaN or infinity in this batch")
        return FlownetError.of(
            "not-finite", f"the loss is {loss} at step {failed.step + 1} (epoch {failed.epoch + 1})", *notes,
            span=origin.span if origin else None,
            help="lower the learning rate, or add `clip: {norm: 1}`",
        )  # fmt: skip

    def _fed_bad(self, batch: Mapping[str, np.ndarray]) -> bool:
        return any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in batch.values())


def evaluate_split(session: Session, section: Any, graph: Graph, split: Any) -> Evaluation:
    """Loss and metrics over a split, each example once; `graph` is the section's `evaluation_graph`."""
    totals = Totals()
    for batch in Batches(split, _even_batch(len(split), section.batch), shuffle=False).epoch(0):
        examples = len(next(iter(batch.values())))
        results = session.run(graph, fed(section, graph, batch))
        totals.add(examples, float(results["loss"]), _statistics(results))
    return Evaluation(totals.loss / totals.examples, summarised(section, totals.metrics))


def fed(section: Any, graph: Graph, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The graph's inputs out of a batch: `section.feed` maps an input to the dataset's field of another name."""
    wanted = [v.name for v in graph.inputs if v.name not in (LEARNING_RATE, STEP)]
    return {name: batch[section.feed.get(name, name)] for name in wanted}


def summarised(section: Any, statistics: Mapping[str, Any]) -> dict[str, float]:
    """Figures from summed statistics, by each metric's own op."""
    graph = section.graph
    ops = {name: graph.nodes[graph.values[value].producer].op for name, value in section.metrics.items()}
    return {name: ops[name].summarise(np.asarray(total)) for name, total in statistics.items()}


SNAPSHOT_EVERY = 50  # steps: so many are replayed at most to find what was not finite; a snapshot copies the parameters


def _statistics(results: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix("metrics/"): array for name, array in results.items() if name.startswith("metrics/")}


def _even_batch(examples: int, batch: int) -> int:
    """A batch size that divides the split if one is near, so that one plan serves all of it."""
    for size in range(max(batch, 100), max(batch, 100) // 2, -1):
        if examples % size == 0:
            return size
    return min(batch, examples)
