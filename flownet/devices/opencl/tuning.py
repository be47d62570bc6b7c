"""Measured choices of convolution kernels: the model of costs orders the candidates, a measurement on this device decides.

`flownet bench --tune` measures; results lie in one JSON file per device, driver and target below the cache folder, and every later
start uses them. A candidate whose result is not NumPy's is set aside: it is kept in the same file, so that nothing takes it any more
on this device with this driver, measured or not; where no candidate is left, NumPy computes the node. `flownet devices --selftest` tries
all candidates of its problems for that. A family of kernels that has no other candidates fails as a whole: it is kept too, and `auto`
takes another device.

A candidate is rehearsed in another process before it is tried in this one, so that one that crashes is set aside like a wrong one. What
was found is written behind every problem, into what others wrote meanwhile: nothing is lost to Ctrl-C, or to a second tuning.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from flownet.devices.opencl.builds import cache_folder
from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.other_process import OtherProcess, ProcessEnded
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.trial import Trial
from flownet.errors import Diagnostic, DiagnosticWarning, FlownetError, MachineError

__all__ = ["Tuning"]

_AGREE = 1e-4  # of the largest element: F(4x4) Winograd is good to 1e-5, a wrong kernel is off by far more
_SECONDS = 0.05


class Tuning:
    """The choices for one device."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        found = runtime.found
        key = "\0".join([found.name, found.platform, found.version, found.driver, repr(runtime.target)])
        self.path: Path = cache_folder() / "tuning" / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".json")
        self.chosen: dict[str, str] = {}
        self.set_aside: dict[str, str] = {}  # candidate -> why
        self.failures: dict[str, str] = {}  # family of kernels -> how it failed the self-test
        self._said: set[str] = set()
        self._kept = self._read()  # what the file held when it was read: all else is ours
        self._take(self._kept)
        self._rehearsal = OtherProcess(Trial.__module__, (found.id, runtime.target))

    def _read(self) -> dict[str, dict[str, str]]:
        """What the file holds: nothing where there is none, or one of no use. The model decides then."""
        try:
            kept = json.loads(self.path.read_text())
            return {part: {str(key): str(value) for key, value in kept.get(part, {}).items()} for part in _PARTS}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {part: {} for part in _PARTS}

    def _take(self, held: Mapping[str, Mapping[str, str]]) -> None:
        self.chosen, self.set_aside, self.failures = (dict(held[part]) for part in _PARTS)

    def choose(self, problem: Convolution, direction: str) -> Choice | None:
        """The candidate that was measured to be the fastest, else the model's first, of those that were not set aside; None
        where there is none."""
        every = candidates(problem, direction, self.runtime.target)
        options = [c for c in every if _family(c) not in self.set_aside]
        if options[:1] != list(every[:1]):
            self._say_once(every[0], _name(options[0]) if options else "NumPy")
        wanted = self.chosen.get(_key(problem, direction))
        return next((c for c in options if _name(c) == wanted), options[0] if options else None)

    def _say_once(self, left_out: Choice, taken: str) -> None:
        message = f"the kernel {_family(left_out)} is set aside, and {taken} is taken"
        if message in self._said:
            return
        self._said.add(message)
        why = f"on `{self.runtime.found.describe()}` it gave: {self.set_aside[_family(left_out)]}"
        found = Diagnostic(
            "kernel-set-aside", message, notes=(why,), severity="warning",
            help=f"a driver that is updated is tried afresh; to try this one again, delete {self.path}",
        )  # fmt: skip
        warnings.warn(DiagnosticWarning(found), stacklevel=4)

    def tune(self, problem: Convolution, direction: str) -> list[tuple[str, float, str]]:
        """Try all candidates, and keep the fastest that agrees with NumPy: (name, seconds, note) of each."""
        return self._try(problem, direction, _SECONDS)

    def check(self, problem: Convolution, direction: str) -> list[str]:
        """What is wrong with candidates, each of which is set aside."""
        return [f"{name}: {note}" for name, _, note in self._try(problem, direction, 0.0) if note]

    def _try(self, problem: Convolution, direction: str, seconds: float) -> list[tuple[str, float, str]]:
        results: list[tuple[str, float, str]] = []
        trial = Trial(problem, direction, self.runtime.target)
        best: tuple[float, str] | None = None
        for number, choice in enumerate(candidates(problem, direction, self.runtime.target)):
            if (end := self._rehearsed(problem, direction, number)) is not None:
                if end.is_crash:
                    self.set_aside[_family(choice)] = wrong = f"ends the process that tries it: {end}"
                    results.append((_name(choice), float("inf"), f"set aside: {wrong}"))
                    continue
                if end.is_killed:
                    results.append(
                        (_name(choice), float("inf"), f"not tried: something ended the process that tries it: {end}")
                    )
                    continue
            try:
                least, error = trial.run(choice, self.runtime, seconds)
                wrong = "" if error <= _AGREE else f"is wrong by {error:.1e} of the largest element"
            except FlownetError as problem_found:
                first = problem_found.diagnostics[0]
                if first.code == "out-of-memory":  # not the candidate's fault
                    results.append((_name(choice), float("inf"), f"not tried: {first.message}"))
                    continue
                if not self.runtime.works():
                    raise self._after_a_failure(choice, problem_found) from None
                least, wrong = float("inf"), first.message
            if wrong:
                self.set_aside[_family(choice)] = wrong
            elif best is None or least < best[0]:
                best = least, _name(choice)
            results.append((_name(choice), least, f"set aside: {wrong}" if wrong else ""))
        if best is not None and seconds:
            self.chosen[_key(problem, direction)] = best[1]
        return results

    def _rehearsed(self, problem: Convolution, direction: str, number: int) -> ProcessEnded | None:
        """How the process ended that ran a candidate, if it did."""
        try:
            self._rehearsal.send((problem, direction, number))
            self._rehearsal.receive()
        except ProcessEnded as end:
            return end
        return None

    def _after_a_failure(self, choice: Choice, error: FlownetError) -> FlownetError:
        """What to raise when nothing runs in the context any more: the device is gone, or the candidate took the context with it."""
        try:
            Runtime(self.runtime.found)
        except FlownetError:
            return error
        first = error.diagnostics[0]
        self.set_aside[_family(choice)] = first.message
        self.save()
        return MachineError.of(
            first.code, first.message, f"it did when the kernel {_family(choice)} ran, which is set aside from now on",
            help="start again: the next kernel is taken",
        )  # fmt: skip

    def save(self) -> bool:
        """Write what was found, atomically, beside what others have found since: whether that was possible.

        A folder that cannot be written to is told of by one warning (`not-kept`).
        """
        found = self.runtime.found
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path):
                theirs, held = (
                    self._read(),
                    {"chosen": self.chosen, "set_aside": self.set_aside, "failures": self.failures},
                )
                merged = {part: _merged(theirs[part], self._kept[part], held[part]) for part in _PARTS}
                with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
                    facts = {"device": found.name, "version": found.version, "driver": found.driver}
                    json.dump({**facts, **merged}, file, indent=1)
                os.replace(file.name, self.path)
        except OSError as error:
            told = Diagnostic(
                "not-kept", f"what was found of `{found.name}` cannot be kept: {error}", severity="warning",
                help="FLOWNET_CACHE_DIR names a folder that can be written to",
            )  # fmt: skip
            if told.message not in self._said:
                self._said.add(told.message)
                warnings.warn(DiagnosticWarning(told), stacklevel=3)
            return False
        self._kept = merged
        self._take(merged)
        return True


_PARTS = ("chosen", "set_aside", "failures")


def _merged(theirs: Mapping[str, str], before: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Theirs, with what we added, changed and removed since `before`."""
    removed = before.keys() - ours.keys()
    changed = {key: value for key, value in ours.items() if before.get(key) != value}
    return {**{key: value for key, value in theirs.items() if key not in removed}, **changed}


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from writing the file meanwhile, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows: two that write at the same moment may lose each other's
        yield
        return
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(problem: Convolution, direction: str) -> str:
    return f"{direction} {problem}"


def _name(choice: Choice) -> str:
    return f"{choice.family} {choice.shape}"


def _family(choice: Choice) -> str:
    """What is set aside together: a family with a shape of tile in a direction, whatever the image."""
    return f"{choice.direction} {_name(choice)}"
