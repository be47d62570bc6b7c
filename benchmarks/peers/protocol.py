"""What a worker of the benchmark answers, line by line: one JSON document for one line of words.

    variants MODE DIMENSIONS      -> ["eager", "channels_last", …] for inputs of so many dimensions
    prepare ROW MODE VARIANT      -> {"losses": […]} of the first steps, or {"output": path of an .npy file}
    run ROW MODE VARIANT SECONDS  -> {"seconds": [of each step]}, as many steps as fit, at least one, at most 1000
    forget                        -> drops everything that was prepared
    settle                        -> gives free memory back to the system, so that what is taken next is seen to be taken
    version                       -> "PyTorch 2.13.0"

A peer is a class with `version`, `variants(mode, dimensions)`, `train(network, variant)` and `infer(network, variant)`;
the last two give a function without arguments that takes one step and gives the loss, a float, or the output. This
module imports nothing of flownet.

What is timed is the call of that function: from a batch that lies in the peer's own tensor to a loss that is a Python
number, or to outputs that NumPy may read. Peers read the batch in place, write outputs into memory that is there
already, and enter what a program would enter once (`step.within`, PyTorch's inference mode) outside of the timed part.
Where an engine reads NumPy's memory, `x` begins at a cache line's start, as its own tensors do.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CHECKED_STEPS", "Network", "serve"]

CHECKED_STEPS = 5
MOST = 1000


class Network:
    """A row as workloads.py wrote it: `layers` and settings, and arrays by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, value in json.loads((folder / "network.json").read_text()).items():
            setattr(self, name, value)
        stored = np.load(folder / "tensors.npz")
        self.arrays = {name.replace("|", "/"): stored[name] for name in stored.files}
        self.x, self.label = aligned(self.arrays.pop("input")), self.arrays.pop("label")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def until(self, value: str) -> list[dict[str, Any]]:
        """The layers that `value` needs, in order."""
        needed, found = {value}, []
        for layer in reversed(self.layers):
            if needed & set(layer["out"]):
                needed |= set(layer["in"])
                found.append(layer)
        return found[::-1]

    def indices_used(self, layer: dict[str, Any]) -> bool:
        """Whether somebody takes the places of a pooling's maxima."""
        return len(layer["out"]) > 1 and any(layer["out"][1] in other["in"] for other in self.layers)


def aligned(array: np.ndarray) -> np.ndarray:
    """The same numbers from an address that a cache line and a vector of AVX-512 begin at; NumPy's own have 16 bytes."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def role(argument: str) -> str:
    """What a normalisation's parameter is: `mean`, `variance`, `bias` or `weight`."""
    for word, meaning in (("mean", "mean"), ("var", "variance"), ("bias", "bias"), ("shift", "bias"), ("beta", "bias")):
        if word in argument:
            return meaning
    return "weight"


def serve(make: Callable[[], Any]) -> None:
    """Answer on standard output until standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    steps: dict[tuple[str, ...], Callable[[], Any]] = {}
    peer = None
    for line in sys.stdin:
        words = line.split()
        try:
            peer = peer or make()
            answer = _answer(peer, words, steps, folder)
        except Exception as error:  # the one place: the table names what failed, and goes on
            traceback.print_exc()
            answer = {
                "error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[
                    :200
                ]
            }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(peer: Any, words: list[str], steps: dict[tuple[str, ...], Callable[[], Any]], folder: Path) -> Any:
    match words:
        case ["version"]:
            return peer.version
        case ["variants", mode, dimensions]:
            return peer.variants(mode, int(dimensions))
        case ["prepare", row, mode, variant]:
            network = Network(folder / row)
            step = peer.train(network, variant) if mode == "train" else peer.infer(network, variant)
            steps[row, mode, variant] = step
            network.arrays.clear()  # the starting weights: a peer has its own by now
            facts = getattr(step, "facts", {})
            with getattr(step, "within", nullcontext)():
                if mode == "train":
                    return {"losses": [float(step()) for _ in range(CHECKED_STEPS)], **facts}
                path = folder / row / f"{type(peer).__name__}-{variant}.npy"
                np.save(path, np.asarray(step()))
                return {"output": str(path), **facts}
        case ["run", row, mode, variant, seconds]:
            step = steps[row, mode, variant]
            with getattr(step, "within", nullcontext)():
                return {"seconds": timed(step, float(seconds))}
        case ["forget"]:
            steps.clear()
            getattr(peer, "forget", lambda: None)()
            gc.collect()
            return {}
        case ["settle"]:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # of the GNU C library
            return {}
    extra = getattr(peer, words[0])
    return extra(*words[1:])


def timed(step: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each step; the first, after a pause, only wakes threads and caches and is not counted."""
    clock = time.perf_counter
    step()
    taken, end = [], clock() + seconds
    while True:
        start = clock()
        step()
        now = clock()
        taken.append(now - start)
        if now >= end or len(taken) == MOST:
            return taken
