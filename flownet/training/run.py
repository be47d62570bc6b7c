"""A run: its folder, its log, its checkpoints, and who is told what happens.

A run's folder holds `graph.yaml` (the graph file in full form), `plugins/` (the single Python files that it needs), `log.jsonl`,
`checkpoint.safetensors` (all that is needed to go on), and at the end `weights.safetensors` and `learning_curve.png`. Nothing in
it names a place outside of it: it may be moved.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flownet.errors import DiagnosticWarning, FlownetError, MachineError
from flownet.executor import Session
from flownet.graph import Graph, Kind
from flownet.training.checkpoint import TensorFile, read_tensors, write_atomically, write_tensors
from flownet.training.curve import draw_curve
from flownet.training.log import Log, read_log
from flownet.training.resuming import CHANGEABLE, changes, conflicts, graph_hash, settings_of
from flownet.training.trainer import Evaluation, Position, Progress, Trainer

__all__ = ["CHECKPOINT", "CURVE", "LOG", "WEIGHTS", "Result", "Run", "network_state", "new_folder"]

GRAPH, LOG, CHECKPOINT, WEIGHTS, CURVE = (
    "graph.yaml", "log.jsonl", "checkpoint.safetensors", "weights.safetensors", "learning_curve.png",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """How a run ended: figures by split, and the files that it left."""

    folder: Path
    weights: Path
    metrics: Mapping[str, Mapping[str, float]]
    epochs: int
    seconds: float
    stopped: str = ""


@dataclass
class Run:
    """One training run.

    document:         what `flownet.language.load` returned
    splits:           the dataset's splits
    folder:           where the files go; it is made
    text:             the graph file in full form, kept beside the weights
    files:            what else lies there, by its path from the folder
    checkpoint_every: steps between checkpoints, besides the one at the end of every epoch; 0 for none; None for one
                      whenever half a minute has passed, and at the ends of epochs that took a second or more
    hooks:            `registry.hooks`, whose `flownet_train_…` are told what happens; None tells nobody
    """

    document: Any
    session: Session
    splits: Mapping[str, Any]
    folder: Path
    text: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    checkpoint_every: int | None = None
    hooks: Any = None
    callback: Callable[[Progress], Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trainer = Trainer(self.session, self.document.train, self.splits)
        self._saved_at = time.monotonic()
        self._saved_step: int | None = None
        self._kept_log = 0

    @property
    def name(self) -> str:
        return self.folder.name

    def resume(self) -> None:
        """Take up the checkpoint in the folder. Raises FlownetError (`no-checkpoint`, `other-graph`)."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            raise FlownetError.of(
                "no-checkpoint", f"there is no checkpoint in `{self.folder}`", help="train without `--resume`"
            )
        saved = read_tensors(path)
        if problems := self._conflicts(saved):
            raise FlownetError.of(
                "other-graph", f"the checkpoint in `{self.folder}` is of another graph, other data or other settings", *problems,
                help=f"resume with `{self.folder / GRAPH}`, in which {_names(CHANGEABLE)} may change, or train into another folder",
            )  # fmt: skip
        at, epochs = Position.from_json(saved.metadata["position"]), self.document.train.epochs
        if (at.epoch, at.batch) > (epochs, 0):
            raise FlownetError.of(
                "other-graph", f"the run in `{self.folder}` is in its epoch {at.epoch + 1}, and was to end after {epochs}",
                help=f"go on with more epochs: `flownet train --resume {self.folder} --epochs {at.epoch + 10}`",
            )  # fmt: skip
        if changed := changes(saved.metadata["settings"], self._settings):
            warnings.warn(DiagnosticWarning(changed), stacklevel=3)
        self.session.write(saved.tensors)
        self.trainer.position = at
        self._saved_step = self.trainer.position.step
        self._kept_log = saved.metadata["log_bytes"]

    def _conflicts(self, saved: TensorFile) -> list[str]:
        if "settings" not in saved.metadata:
            return ["it is no checkpoint, or one of another version of flownet"]
        found = conflicts(saved.metadata["settings"], self._settings)
        if not found and saved.tensors.keys() != self.session.storages.keys():
            optimizer = self.document.train.optimizer.name
            found = [f"`{optimizer}` as it is set now keeps other numbers for a parameter than the checkpoint holds"]
        return found

    def train(self) -> Result:
        """Train to the end, or to a Ctrl-C: the checkpoint says where, and `resume` goes on from there."""
        started = time.monotonic()
        self._make_folder()
        self.log = Log(self.folder / LOG, self._kept_log)
        self._tell("flownet_train_start", run=self)
        outcome: dict[str, Any] = {"stopped": "error"}
        try:
            with _interrupts(self.trainer.stop):
                for progress in self.trainer.run(self._between_steps):
                    self._record(progress)
                    if progress.kind == "epoch" and self.trainer.stopped:
                        break
            self.save_checkpoint()
            # whoever pressed Ctrl-C does not want to wait for the test split
            metrics = {} if self.trainer.stopped == "interrupted" else self._final_figures()
            self._save_results(metrics)
            result = Result(
                self.folder, self.folder / WEIGHTS, metrics, self.trainer.position.epoch, time.monotonic() - started,
                self.trainer.stopped,
            )  # fmt: skip
            outcome = {"stopped": result.stopped, "metrics": metrics}
            return result
        except FlownetError as error:
            raise self._with_what_is_kept(error) from None
        except MemoryError as error:
            lacking = MachineError.of("out-of-memory", f"there is not enough memory: {error or 'an allocation failed'}")
            raise self._with_what_is_kept(lacking) from None
        finally:
            self.log.close()
            self._tell("flownet_train_end", run=self, result=outcome)

    # -- what is kept ------------------------------------------------------------------------------------------------------

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Write all that is needed to go on; `arrays` are the session's, where they have been read already."""
        metadata = {
            "settings": self._settings,
            "position": self.trainer.position.to_json(),
            "log_bytes": self.log.size,
            **self.metadata,
        }
        write_tensors(self.folder / CHECKPOINT, self.session.read() if arrays is None else arrays, metadata)
        self._saved_step = self.trainer.position.step
        self._saved_at = time.monotonic()

    def _with_what_is_kept(self, error: FlownetError) -> FlownetError:
        """The error that ended the run, with a note of what there is to go on from, and for the machine's with how."""
        code = error.diagnostics[0].code
        if code != "not-finite" and not isinstance(error, MachineError):
            return error
        if self._saved_step is None:
            kept, go_on = f"no checkpoint had been written yet: `{self.folder}` holds the log alone", ""
        else:
            kept = f"`{self.folder / CHECKPOINT}` holds all as it was after step {self._saved_step}"
            if code == "not-finite":
                optimizer = self.document.train.optimizer
                slower = f"train.optimizer.{optimizer.name}.learning_rate={optimizer.learning_rate / 10:g}"
                go_on = f"; from the checkpoint on, if the loss was sound there: `flownet train --resume {self.folder} --set {slower}`"
            else:
                elsewhere = " --device cpu" if code in _OF_THE_DEVICE else ""
                kept, go_on = f"{kept}; `flownet train --resume {self.folder}{elsewhere}` goes on from there", ""
        return type(error)(replace(d, notes=(*d.notes, kept), help=(d.help or "") + go_on) for d in error.diagnostics)

    def _between_steps(self) -> None:
        at = self.trainer.position
        every = self.checkpoint_every
        if every is None:
            # syncing a file takes 10 ms: an epoch of a small network takes less
            least = _SECONDS_BETWEEN_EPOCHS if at.batch == 0 else _SECONDS_BETWEEN
            due = time.monotonic() - self._saved_at > least
        else:
            due = at.batch == 0 or (every > 0 and at.step % every == 0)
        if due and _all_finite(
            arrays := self.session.read()
        ):  # else the next loss is not, and the one before is worth more
            self.save_checkpoint(arrays)

    def _save_results(self, metrics: Mapping[str, Any]) -> None:
        metadata = {"graph": graph_hash(self.document.graph), "metrics": metrics, **self.metadata}
        write_tensors(self.folder / WEIGHTS, network_state(self.document.graph, self.session), metadata)
        write_atomically(self.folder / CURVE, draw_curve(read_log(self.folder / LOG), self.document.graph.name))

    def _make_folder(self) -> None:
        try:
            for folder in (self.folder, *(self.folder / Path(name).parent for name in self.files)):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError.of(
                "cannot-write",
                f"`{self.folder}` cannot be made: {error.strerror or error}",
                help="choose another by `--out`",
            ) from None
        if self.text:
            write_atomically(self.folder / GRAPH, self.text.encode())
        for name, text in self.files.items():
            write_atomically(self.folder / name, text)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return settings_of(self.document.train)

    # -- what is told ------------------------------------------------------------------------------------------------------

    def _record(self, progress: Progress) -> None:
        record = {k: v for k, v in asdict(progress).items() if k not in ("epochs", "steps", "waited_s")}
        record["time"] = time.time()
        self.log.write(record)
        self._tell("flownet_train_step" if progress.kind == "step" else "flownet_train_epoch", run=self, record=record)
        if self.callback is not None and self.callback(progress) is False:
            self.trainer.stop()

    def _tell(self, hook: str, **arguments: Any) -> None:
        if self.hooks is not None:
            getattr(self.hooks, hook)(**arguments)

    def _final_figures(self) -> dict[str, dict[str, float]]:
        names = [name for name in ("validation", "test") if name in self.splits]
        return {name: _figures(self.trainer.evaluate(name)) for name in names}


_SECONDS_BETWEEN, _SECONDS_BETWEEN_EPOCHS = 30.0, 1.0
_OF_THE_DEVICE = ("device-failed", "kernel-build", "out-of-memory")  # another one may do better


def _figures(evaluation: Evaluation) -> dict[str, float]:
    return {"loss": evaluation.loss, **evaluation.metrics}


def _all_finite(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in arrays.values())


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"


def network_state(graph: Graph, session: Session) -> dict[str, np.ndarray]:
    """The network's own parameters and states (no optimiser's): what `weights.safetensors` holds."""
    names = [v.name for v in graph.values.values() if v.kind in (Kind.PARAMETER, Kind.STATE) and v.name != "rng"]
    return {name: session.storages[name].read() for name in names if name in session.storages}


def new_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or `parent/name-2` and so on, whichever is not there yet."""
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
        number += 1


@contextmanager
def _interrupts(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C (or a TERM) end training behind the running step; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread: an embedder stops by its callback
        return

    def handle(number: int, frame: Any) -> None:
        stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
