"""Measured choices of convolution kernels: the model of costs orders the candidates, a measurement on this device decides.

`flownet bench --tune` measures; results lie in one JSON file per device, driver and target below the cache folder, and every later
start uses them. A candidate whose result is not that of the others is never chosen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from flownet.devices.opencl.kernels.convolution import Choice, Convolution, candidates
from flownet.devices.opencl.kernels.kernel import Kernel
from flownet.devices.opencl.runtime import Runtime, cache_folder
from flownet.errors import FlownetError

__all__ = ["Tuning"]

_AGREE = 1e-3  # of the largest element: F(4x4) Winograd against direct sums of some thousand products
_SECONDS = 0.05


class Tuning:
    """The choices for one device."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        found = runtime.found
        key = "\0".join([found.name, found.platform, found.version, found.driver, repr(runtime.target)])
        self.path: Path = cache_folder() / "tuning" / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".json")
        self.chosen: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none yet, or of no use: the model decides
            self.chosen = json.loads(self.path.read_text())["chosen"]

    def choose(self, problem: Convolution, direction: str) -> Choice:
        """The candidate that was measured to be the fastest, else the model's first."""
        options = candidates(problem, direction, self.runtime.target)
        wanted = self.chosen.get(_key(problem, direction))
        return next((c for c in options if _name(c) == wanted), options[0])

    def tune(self, problem: Convolution, direction: str) -> list[tuple[str, float, str]]:
        """Measure all candidates, and keep the fastest that agrees: (name, seconds, note) of each."""
        results: list[tuple[str, float, str]] = []
        reference: np.ndarray | None = None
        best: tuple[float, str] | None = None
        for choice in candidates(problem, direction, self.runtime.target):
            try:
                seconds, result = self._measure(choice)
            except FlownetError as error:
                results.append((_name(choice), float("inf"), error.diagnostics[0].message))
                continue
            if reference is None:
                reference = result
            scale = float(np.abs(reference).max()) or 1.0
            if not float(np.abs(result - reference).max()) <= _AGREE * scale:
                results.append((_name(choice), seconds, "set aside: its result differs"))
                continue
            results.append((_name(choice), seconds, ""))
            if best is None or seconds < best[0]:
                best = seconds, _name(choice)
        if best is not None:
            self.chosen[_key(problem, direction)] = best[1]
        return results

    def save(self) -> None:
        """Write the choices, atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = self.runtime.found
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(
                {"device": found.name, "version": found.version, "driver": found.driver, "chosen": self.chosen},
                file,
                indent=1,
            )
        os.replace(file.name, self.path)

    def _measure(self, choice: Choice) -> tuple[float, np.ndarray]:
        kernels: list[Kernel]
        if choice.direction == "weight_gradient":
            kernels, out = list(choice.gradient().kernels), "dW"
        else:
            prepare = choice.prepare()
            kernels, out = [*([prepare] if prepare else []), choice.compute()], "Y"
        buffers: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        launches = []
        cl, runtime = self.runtime.cl, self.runtime
        for kernel in kernels:
            for a in kernel.arguments:
                if a.name not in buffers:
                    arrays[a.name] = np.random.default_rng(len(buffers)).standard_normal(a.size).astype(np.float32)
                    buffers[a.name] = runtime.buffer_of(arrays[a.name])
            built = cl.Kernel(runtime.build(kernel.source(), kernel.name), kernel.name)
            built.set_args(*[buffers[a.name] for a in kernel.arguments])
            launches.append((built, kernel))
        timed = launches if choice.direction == "weight_gradient" else launches[-1:]

        def run(these: list) -> None:
            for built, kernel in these:
                cl.enqueue_nd_range_kernel(runtime.queue, built, kernel.global_size(), kernel.local)
            runtime.queue.finish()

        run(launches)
        least, end = float("inf"), time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            run(timed)
            least = min(least, time.perf_counter() - start)
        cl.enqueue_copy(runtime.queue, arrays[out], buffers[out])
        return least, arrays[out]


def _key(problem: Convolution, direction: str) -> str:
    return f"{direction} {problem}"


def _name(choice: Choice) -> str:
    return f"{choice.family} {choice.shape}"
