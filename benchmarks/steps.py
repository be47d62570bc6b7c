"""Milliseconds of a training step and of inference, flownet and its peers side by side in one run.

    python benchmarks/steps.py [--rows mlp,cnn] [--modes train,infer] [--peer-python PYTHON] [--markdown FILE] [--json FILE]

All compute in float32 with 2 threads on the same network, weights and batch. A training step is forward, mean cross
entropy, backward and the update (SGD with momentum 0.9 and weight decay 1e-4), with the loss fetched as a number.
Feeding the batch counts for flownet, which copies it to its device; the peers' batches lie ready in their own tensors.

Each peer is a process of its own (benchmarks/peers); `--peer-python` names the Python that has them. Processes take
turns, round by round, with a pause between, since OpenMP's threads spin on for some milliseconds. What is given is the
median over the rounds of each round's median step. A round in which other processes took more than a tenth of the
machine is not counted where there are quieter ones (`disturbed` in the JSON tells). A peer with several modes
(layouts, compiled or not) shows its fastest: all modes run in the first round, the two best in every round.

On a GPU: `--peers "flownet opencl,PyTorch CUDA"`, where flownet takes the first device that `flownet devices` lists.

Before anything is timed, the losses of the first steps and the outputs of inference are held against flownet's:
whoever computes something else is not timed. A peer that is not installed is left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import workloads

# Weights after a step differ in the last bits (sums in another order, Winograd, fast exponentials), and the next loss
# with them; deep nets with batch norm over few examples enlarge it. Another momentum or weight decay is off by far more.
LOSS_TOLERANCE = 2e-3
OUTPUT_TOLERANCE = 1e-3  # of the largest output: a thousand classes start near a thousandth each

QUIET = 0.1  # share of the machine that others may take in a round that counts

PEERS = {
    "flownet opencl": ("flownet_peer.py", "opencl"),
    "flownet cpu": ("flownet_peer.py", "cpu"),
    "PyTorch": ("torch_peer.py",),
    "PyTorch CUDA": ("torch_peer.py", "cuda"),
    "JAX": ("jax_peer.py",),
    "ONNX Runtime": ("onnxruntime_peer.py",),
    "OpenVINO": ("openvino_peer.py",),
    "tinygrad": ("tinygrad_peer.py",),
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")


class Worker:
    """A peer's process, asked line by line."""

    def __init__(self, name: str, python: str, folder: Path, log: Any) -> None:
        self.name, self.failed, self.python, self.folder, self.log = name, "", python, folder, log
        self.start()

    def start(self) -> None:
        script, *arguments = PEERS[self.name]
        command = [self.python, str(Path(__file__).parent / "peers" / script), *arguments]
        environment = {**os.environ, **THREADS, "BENCHMARK_FOLDER": str(self.folder)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=environment)
        answer = self.ask("version")
        self.version = answer if isinstance(answer, str) else self.name
        if not isinstance(answer, str):
            self.failed = answer["error"]

    def ask(self, *words: Any, limit: float = 600) -> Any:
        """The answer, or {"error"} where there is none within `limit` seconds: the process is ended then."""
        try:
            print(*words, file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], limit)[0]:
                self.process.kill()
                self.process.wait()
                return {"error": f"no answer to `{words[0]}` within {limit:.0f} s"}
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": f"the process ended with status {self.process.wait()}"}

    def restart(self) -> None:
        """A fresh process where the last one crashed: a peer that falls on one row may run the next."""
        if self.process.poll() is not None:
            self.start()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
        self.process.wait(timeout=30)


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

    def take(self, row: workloads.Row, mode: str, seconds: float) -> str:
        before, own = _busy(), _own(self.worker.process.pid)
        answer = self.worker.ask("run", row.key, mode, self.variant, seconds)
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
    def __init__(self, options: argparse.Namespace, workers: Sequence[Worker], folder: Path) -> None:
        self.options, self.workers, self.folder = options, workers, folder
        self.results: list[dict[str, Any]] = []

    def row(self, row: workloads.Row, mode: str) -> None:
        timings, left_out = self.prepared(row, mode)
        rounds = self.options.rounds
        for number in range(rounds):
            for timing in list(timings):
                if number and timing.worker.name == "flownet cpu" and timing.seconds > 1:
                    continue  # the reference, not a rival: a slow one is timed once
                time.sleep(self.options.pause)
                if reason := timing.take(row, mode, self.options.seconds):
                    left_out[timing.worker.name] = reason
                    timings.remove(timing)
            if number == 0:
                timings = _two_best(timings)
        best: dict[str, Timing] = {}
        for timing in sorted(timings, key=lambda t: t.seconds):
            best.setdefault(timing.worker.name, timing)
        self.results.append(_result(row, mode, best, left_out))
        print(_line(self.results[-1]), flush=True)

    def prepared(self, row: workloads.Row, mode: str) -> tuple[list[Timing], dict[str, str]]:
        """The peers that compute what flownet computes."""
        timings, left_out, reference = [], {}, None
        for worker in self.workers:
            worker.restart()
            variants = worker.ask("variants", mode)
            if isinstance(variants, dict):
                left_out[worker.name] = variants["error"]
                continue
            for variant in variants:
                if variant.startswith("compile") and not self.options.compile:
                    continue
                worker.restart()
                answer = worker.ask("prepare", row.key, mode, variant, limit=self.options.patience)
                if "error" in answer:
                    left_out[f"{worker.name} {variant}"] = answer["error"]
                    continue
                reference, wrong = _compare(reference, answer, mode)
                if wrong:
                    left_out[f"{worker.name} {variant}"] = wrong
                    continue
                timings.append(Timing(worker, variant, answer))
        return timings, left_out

    def forget(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.ask("forget")


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


def geometric_mean(results: Iterable[dict[str, Any]]) -> float | None:
    ratios = [r["times_as_fast"] for r in results if r["times_as_fast"]]
    return statistics.geometric_mean(ratios) if ratios else None


def markdown(results: Sequence[dict[str, Any]], peaks: dict[str, float], versions: Sequence[str]) -> str:
    """The tables of docs/benchmarks.md: milliseconds, the fastest in bold."""
    names = [name for name in PEERS if any(name in r["ms"] for r in results)]
    lines = [
        f"{', '.join(versions)}; 2 threads, float32; milliseconds, medians. In brackets the mode that was fastest."
    ]
    if peaks:
        lines += [
            f"Measured in the same run: {peaks['gflops']:.0f} GFLOP/s of multiply-adds, {peaks['gbytes']:.1f} GB/s."
        ]
    for mode, title in (("train", "Training step"), ("infer", "Inference")):
        chosen = [r for r in results if r["mode"] == mode]
        if not chosen:
            continue
        lines += [
            "",
            f"**{title}**",
            "",
            f"| row (batch) | {' | '.join(names)} | best peer ÷ flownet | of the FMA peak | of the bandwidth |",
        ]
        lines.append("|---" * (len(names) + 4) + "|")
        for r in chosen:
            fastest = min(r["ms"].values(), default=None)
            cells = []
            for name in names:
                ms, variant = r["ms"].get(name), r["variant"].get(name, "")
                text = (
                    "" if ms is None else f"{ms:.3g}" + (f" ({variant})" if name.startswith(("PyTorch", "JAX")) else "")
                )
                cells.append(f"**{text}**" if ms is not None and ms == fastest else text)
            ours = r["ms"].get("flownet opencl")
            shares = ["", ""]
            if ours and peaks:
                shares = [
                    f"{r['flops'] / ours / 1e6 / peaks['gflops']:.0%}",
                    f"{r['bytes'] / ours / 1e6 / peaks['gbytes']:.0%}",
                ]
            ratio = f"{r['times_as_fast']:.2f}" if r["times_as_fast"] else ""
            lines.append(f"| {r['row']} ({r['batch']}) | {' | '.join(cells)} | {ratio} | {' | '.join(shares)} |")
        if mean := geometric_mean(chosen):
            lines.append(f"| geometric mean | {' | '.join([''] * len(names))} | {mean:.2f} | | |")
    worst = max((share for r in results for share in r["disturbed"].values()), default=0.0)
    lines += (
        ["", f"Other processes took up to {worst:.0%} of the machine in the rounds that count."]
        if worst > QUIET
        else []
    )
    if mean := geometric_mean(results):
        lines += ["", f"Geometric mean over all rows: {mean:.2f} times as fast as each row's best peer."]
    missing = {f"{r['row']}, {r['mode']}: {name}: {why}" for r in results for name, why in r["left_out"].items()}
    lines += ["", *(f"- left out: {line}" for line in sorted(missing))] if missing else []
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
        "--patience", type=float, default=300, help="seconds that a peer may take to get ready for a row"
    )
    options.add_argument("--pause", type=float, default=0.03, help="seconds between two processes' turns")
    options.add_argument(
        "--no-compile", dest="compile", action="store_false", help="leave torch.compile out, which takes a minute a row"
    )
    options.add_argument("--json", type=Path, help="write all figures here")
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
            worker = Worker(name, sys.executable if name.startswith("flownet") else options.peer_python, folder, log)
            if worker.failed:
                print(f"{name} is left out: {worker.failed}")
                worker.end()
            else:
                workers.append(worker)
        versions = list(dict.fromkeys(worker.version for worker in workers))
        print(", ".join(versions), flush=True)
        time.sleep(0.5)
        peaks = workers[0].ask("peaks")
        if "error" in peaks:
            print(f"no peaks: {peaks['error']}")
            peaks = {}
        else:
            print(f"{peaks['gflops']:.0f} GFLOP/s of multiply-adds, {peaks['gbytes']:.1f} GB/s", flush=True)
        benchmark = Benchmark(options, workers, folder)
        for row in [row for row in workloads.ROWS if row.key in options.rows.split(",")]:
            workloads.write(row, folder)
            for mode in [m for m in row.modes if m in options.modes.split(",")]:
                benchmark.row(row, mode)
                benchmark.forget()
            shutil.rmtree(folder / row.key)
    finally:
        for worker in workers:
            worker.end()
        shutil.rmtree(folder, ignore_errors=True)
    text = markdown(benchmark.results, peaks, versions)
    print("\n" + text)
    if options.json:
        options.json.write_text(
            json.dumps({"versions": versions, "peaks": peaks, "results": benchmark.results}, indent=1)
        )
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
