"""Milliseconds of a training step and of inference, flownet and its peers side by side in one run.

    python benchmarks/steps.py [--rows mlp,cnn] [--modes train,infer] [--peer-python PYTHON] [--markdown FILE] [--json FILE]

All compute in float32 with 2 threads on the same network, weights and batch. A training step is forward, mean cross
entropy, backward and the update (SGD with momentum 0.9 and weight decay 1e-4), with the loss fetched as a number.
In training, feeding the batch counts for flownet, which copies it to its device; the peers' batches lie ready in their
own tensors. In inference all of them, flownet by `Network.buffers`, have inputs that lie ready and outputs that are read in place.

Each peer is a process of its own (benchmarks/peers); `--peer-python` names the Python that has them. Processes take
turns, round by round, with a pause between, since OpenMP's threads spin on for some milliseconds. What is given is the
median over the rounds of each round's median step. A round in which other processes took more than a tenth of the
machine is not counted where there are quieter ones (`disturbed` in the JSON tells). A peer with several modes
(layouts, compilers) shows its fastest: all modes run in the first round, the two best in every round.

A mode that is not ready within `--patience` seconds is left out of that row, which the table's foot tells. torch.compile
and tinygrad's search take a minute or more a row (`--quick` leaves them out), but keep what they have compiled: with
`--get-ready` nothing is timed, and a run after it starts sooner. A long run may come in pieces: the figures are written
to `--json` row by row, and benchmarks/table.py makes one table of several such files.

On a GPU: `--peers "flownet opencl,PyTorch CUDA"`, where flownet takes the first device that `flownet devices` lists.

Before anything is timed, the losses of the first steps and the outputs of inference are held against flownet's:
whoever computes something else is not timed. A peer that is not installed is left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checkout
import numpy as np
import workloads
from table import QUIET, markdown
from worker import KEEP_MEMORY, PEERS, Worker

# Weights after a step differ in the last bits (sums in another order, Winograd, fast exponentials), and the next loss
# with them; deep nets with batch norm over few examples enlarge it. Another momentum or weight decay is off by far more.
LOSS_TOLERANCE = 2e-3
OUTPUT_TOLERANCE = 1e-3  # of the largest output: a thousand classes start near a thousandth each

SLOW = ("compile", "max-autotune", "beam")  # what the names of modes begin or end with that `--quick` leaves out


@dataclass
class Timing:
    """What one peer in one mode took: a median a round, and the least step of all."""

    worker: Worker
    variant: str
    facts: dict[str, Any]
    medians: list[tuple[float, float]] = field(default_factory=list)  # (share of the machine that others took, seconds)
    least: float = math.inf

    @property
    def seconds(self) -> float:
        return statistics.median(s for _, s in self._counted()) if self.medians else math.inf

    @property
    def disturbed(self) -> float:
        """The share of the machine that other processes took in the rounds that count."""
        return max((share for share, _ in self._counted()), default=0.0)

    def _counted(self) -> list[tuple[float, float]]:
        ordered = sorted(self.medians)
        quiet = [m for m in ordered if m[0] <= QUIET]
        return quiet if len(quiet) >= 2 else ordered[: max(2, len(ordered) // 3)]

    def take(self, row: workloads.Row, mode: str, seconds: float, patience: float) -> str:
        """Time it once more; gives what went wrong."""
        self.worker.revive(patience)
        before, own = _busy(), _own(self.worker.process.pid)
        answer = self.worker.run(row.key, mode, self.variant, seconds, patience)
        after, ours = _busy(), _own(self.worker.process.pid)
        if "error" in answer:
            return str(answer["error"])
        others = (after[0] - before[0] - (ours - own)) / max(after[1] - before[1], 1)
        self.medians.append((max(others, 0.0), statistics.median(answer["seconds"])))
        self.least = min(self.least, *answer["seconds"])
        return ""


def _busy() -> tuple[int, int]:
    """(ticks in which the machine worked, all ticks) of all processors, since it started; zeros without Linux's /proc."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0, 0
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # idle, and waiting for disks


def _own(process: int) -> int:
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(words[11]) + int(words[12])


class Benchmark:
    def __init__(self, options: argparse.Namespace, workers: Sequence[Worker], peaks: dict[str, float]) -> None:
        self.options, self.workers = options, workers
        self.of_all_rows = {"peaks": peaks, "revision": checkout.revision()}
        self.results: list[dict[str, Any]] = []

    def row(self, row: workloads.Row, mode: str) -> None:
        timings, left_out = self.prepared(row, mode)
        ready = {f"{t.worker.name} {t.variant}": round(t.facts["ready_s"], 1) for t in timings}
        for number in range(0 if self.options.get_ready else self.options.rounds):
            fastest = min((t.seconds for t in timings), default=math.inf)
            for timing in list(timings):
                if number and timing.seconds > max(1, 5 * fastest):
                    continue  # no rival; a step takes seconds: it is timed once
                time.sleep(self.options.pause)
                if reason := timing.take(row, mode, self.options.seconds, self.options.patience):
                    left_out[f"{timing.worker.name} {timing.variant}"] = reason
                    timings.remove(timing)
            if number == 0:
                timings = _two_best(timings)
        best: dict[str, Timing] = {}
        for timing in sorted(timings, key=lambda t: t.seconds):
            best.setdefault(timing.worker.name, timing)
        if self.options.get_ready:
            print(
                f"{row.name} {mode}: {', '.join(f'{name} {seconds} s' for name, seconds in ready.items())}", flush=True
            )
            print("".join(f"    {name} is left out: {why}\n" for name, why in left_out.items()), end="", flush=True)
            return
        self.results.append(_result(row, mode, best, left_out) | {"ready_s": ready, **self.of_all_rows})
        print(_line(self.results[-1]), flush=True)

    def prepared(self, row: workloads.Row, mode: str) -> tuple[list[Timing], dict[str, str]]:
        """The peers that compute what flownet computes."""
        timings, left_out, reference = [], {}, None
        for worker in self.workers:
            worker.revive(self.options.patience)
            variants = worker.ask("variants", mode, len(row.shape))
            if isinstance(variants, dict):
                left_out[worker.name] = variants["error"]
                continue
            for variant in variants:
                if self.options.quick and (variant.startswith(SLOW) or variant.endswith(SLOW)):
                    continue
                answer = worker.prepare(row.key, mode, variant, self.options.patience)
                wrong = answer.get("error", "")
                if not wrong:
                    reference, wrong = _compare(reference, answer, mode)
                if wrong:
                    left_out[f"{worker.name} {variant}"] = wrong
                else:
                    timings.append(Timing(worker, variant, answer))
        return timings, left_out

    def forget(self) -> None:
        for worker in self.workers:
            worker.forget()


def _two_best(timings: list[Timing]) -> list[Timing]:
    kept: dict[str, list[Timing]] = {}
    for timing in timings:
        kept.setdefault(timing.worker.name, []).append(timing)
    return [t for found in kept.values() for t in sorted(found, key=lambda t: t.seconds)[:2]]


def _compare(reference: Any, answer: dict[str, Any], mode: str) -> tuple[Any, str]:
    """The first peer's figures, and what is wrong with another's."""
    if mode == "train":
        losses = np.array(answer["losses"])
        if reference is None:
            return losses, ""
        error = float(np.max(np.abs(losses - reference) / np.maximum(np.abs(reference), 1e-2)))
        return (
            reference,
            ""
            if error < LOSS_TOLERANCE
            else f"losses {losses.round(4).tolist()} are not {reference.round(4).tolist()}",
        )
    output = np.load(answer["output"])
    if answer.get("channels_last"):
        output = np.moveaxis(output, -1, 1)
    if reference is None:
        return output, ""
    error = float(np.max(np.abs(output - reference)) / np.max(np.abs(reference)))
    return reference, "" if error < OUTPUT_TOLERANCE else f"outputs differ by {error:.2g} of the largest"


def _result(row: workloads.Row, mode: str, best: dict[str, Timing], left_out: dict[str, str]) -> dict[str, Any]:
    ours = best.get("flownet opencl")
    peers = {name: t for name, t in best.items() if not name.startswith("flownet")}
    rival = min(peers.values(), key=lambda t: t.seconds, default=None)
    return {
        "row": row.name, "mode": mode, "batch": row.batch,
        "ms": {name: t.seconds * 1e3 for name, t in best.items()},
        "disturbed": {name: round(t.disturbed, 2) for name, t in best.items()},
        "least_ms": {name: t.least * 1e3 for name, t in best.items()},
        "variant": {name: t.variant for name, t in best.items()},
        "best_peer": rival.worker.name if rival else None,
        "times_as_fast": rival.seconds / ours.seconds if rival and ours else None,
        "flops": ours.facts.get("flops", 0) if ours else 0, "bytes": ours.facts.get("bytes", 0) if ours else 0,
        "kernels": ours.facts.get("kernels", 0) if ours else 0, "numpy": ours.facts.get("numpy", []) if ours else [],
        "left_out": left_out,
    }  # fmt: skip


def _line(result: dict[str, Any]) -> str:
    times = "  ".join(f"{name} {ms:.3g}" for name, ms in result["ms"].items())
    ratio = f"  {result['times_as_fast']:.2f}× the best peer" if result["times_as_fast"] else ""
    left_out = "".join(f"\n    {name} is left out: {why}" for name, why in result["left_out"].items())
    return f"{result['row']} {result['mode']}: {times}{ratio}{left_out}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [row.key for row in workloads.ROWS]
    options.add_argument("--rows", default=",".join(known), help=f"of {', '.join(known)}")
    options.add_argument("--modes", default="train,infer")
    on_cpu = [name for name in PEERS if name != "PyTorch CUDA"]
    options.add_argument(
        "--peers", default=",".join(on_cpu), help=f"of {', '.join(PEERS)}; flownet opencl is always there"
    )
    options.add_argument("--peer-python", default=sys.executable, help="the Python that has the peers installed")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=0.25, help="of steps of each peer in each round")
    options.add_argument(
        "--patience", type=float, default=180, help="seconds that a mode may take to get ready for a row"
    )
    options.add_argument("--pause", type=float, default=0.03, help="seconds between two processes' turns")
    options.add_argument("--quick", action="store_true", help="leave out torch.compile and tinygrad's search")
    options.add_argument("--get-ready", action="store_true", help="fill the peers' caches, and time nothing")
    options.add_argument("--json", type=Path, help="write all figures here, row by row")
    options.add_argument("--markdown", type=Path, help="write the tables here")
    options.add_argument("--log", type=Path, help="write what the peers print here")
    options = options.parse_args()
    if unknown := set(options.rows.split(",")) - set(known):
        sys.exit(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    names = ["flownet opencl", *(n for n in PEERS if n in options.peers.split(",") and n != "flownet opencl")]
    folder = Path(tempfile.mkdtemp(prefix="flownet-benchmark-"))
    log = options.log.open("w") if options.log else subprocess.DEVNULL
    workers: list[Worker] = []
    try:
        for name in names:
            python = sys.executable if name.startswith("flownet") else options.peer_python
            worker = Worker(name, python, folder, log, KEEP_MEMORY)
            if worker.failed:
                print(f"{name} is left out: {worker.failed}")
                worker.end()
            else:
                workers.append(worker)
        versions = list(dict.fromkeys(worker.version for worker in workers))
        print(", ".join(versions), flush=True)
        print(f"flownet is measured from {checkout.ROOT} {checkout.revision()}", flush=True)
        time.sleep(0.5)
        peaks = workers[0].ask("peaks")
        if "error" in peaks:
            print(f"no peaks: {peaks['error']}")
            peaks = {}
        else:
            print(f"{peaks['gflops']:.0f} GFLOP/s of multiply-adds, {peaks['gbytes']:.1f} GB/s", flush=True)
        benchmark = Benchmark(options, workers, peaks)
        for row in [row for row in workloads.ROWS if row.key in options.rows.split(",")]:
            workloads.write(row, folder)
            for mode in [m for m in row.modes if m in options.modes.split(",")]:
                benchmark.row(row, mode)
                benchmark.forget()
                measured = {"versions": versions, "results": benchmark.results}
                if options.json and benchmark.results:
                    options.json.write_text(json.dumps(measured, indent=1))
            shutil.rmtree(folder / row.key)
    finally:
        for worker in workers:
            worker.end()
        shutil.rmtree(folder, ignore_errors=True)
    if not benchmark.results:
        return
    text = markdown(measured)
    print("\n" + text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
