"""Measured choices of convolution kernels: the model of costs orders the candidates, a measurement on this device decides.

`flownet bench --tune` measures; results lie in one JSON file per device, driver and target below the cache folder, and every later
start uses them. A candidate whose result is not NumPy's is set aside: it is kept in the same file, so that nothing takes it any more
on this device with this driver, measured or not; where no candidate is left, NumPy computes the node. `flownet devices --selftest` tries
all candidates of its problems for that. A family of kernels that has no other candidates fails as a whole: it is kept too, and `auto`
takes another device.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path

from flownet.devices.opencl.builds import cache_folder
from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
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
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none yet, or of no use: the model decides
            kept = json.loads(self.path.read_text())
            self.chosen, self.set_aside = dict(kept["chosen"]), dict(kept["set_aside"])
            self.failures = dict(kept.get("failures", {}))

    def choose(self, problem: Convolution, direction: str) -> Choice | None:
        """The candidate that was measured to be the fastest, else the model's first, of those that were not set aside."""
        every = candidates(problem, direction, self.runtime.target)
        options = [c for c in every if _family(c) not in self.set_aside]
        if not options or options[0] is not every[0]:
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
        for choice in candidates(problem, direction, self.runtime.target):
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

    def save(self) -> None:
        """Write the choices, atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = self.runtime.found
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(
                {
                    "device": found.name,
                    "version": found.version,
                    "driver": found.driver,
                    "chosen": self.chosen,
                    "set_aside": self.set_aside,
                    "failures": self.failures,
                },
                file,
                indent=1,
            )
        os.replace(file.name, self.path)


def _key(problem: Convolution, direction: str) -> str:
    return f"{direction} {problem}"


def _name(choice: Choice) -> str:
    return f"{choice.family} {choice.shape}"


def _family(choice: Choice) -> str:
    """What is set aside together: a family with a shape of tile in a direction, whatever the image."""
    return f"{choice.direction} {_name(choice)}"
