"""Peak memory of training steps, flownet beside PyTorch, each in a fresh process.

    python benchmarks/memory.py [--rows cnn,resnet-20] [--peer-python PYTHON] [--json FILE]

MB by which five training steps raise the process's resident set at its highest (`ru_maxrss`) over what it is once the
libraries are imported and one tiny network (XOR) has been trained, so that thread pools are not counted; weights, batch
and optimiser states are. Kernels come from the cache, as at every start but a model's first. `arena` is what flownet's plan says that it needs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import workloads
from worker import Worker

SUBJECTS = (("flownet opencl", "opencl"), ("flownet cpu", "cpu"), ("PyTorch", "eager"), ("PyTorch", "channels_last"))
TINY = workloads.ROWS[0]


def measured(row: workloads.Row, name: str, variant: str, python: str, folder: Path) -> dict[str, Any]:
    """`mb`: what the row's training took; `error` where it could not."""
    worker = Worker(name, python, folder, subprocess.DEVNULL)
    if worker.failed:
        return {"error": worker.failed}
    if name == "flownet opencl":  # what a compiler takes once, at a model's first start, is not the model's memory
        worker.ask("prepare", TINY.key, "train", variant)
        worker.ask("prepare", row.key, "train", variant)
        worker.end()
        worker = Worker(name, python, folder, subprocess.DEVNULL)
    try:
        worker.ask("prepare", TINY.key, "train", variant)
        before = _highest(worker.process.pid)
        answer = worker.ask("prepare", row.key, "train", variant)
        if "error" in answer:
            return answer
        found = {"mb": (_highest(worker.process.pid) - before) / 1e6}
        return found | ({"arena_mb": answer["arena"] / 1e6} if "arena" in answer else {})
    finally:
        worker.end()


def _highest(process: int) -> int:
    """The highest resident set of a process so far, bytes: VmHWM of Linux, which is `ru_maxrss` read from outside."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell a process's peak memory")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [row.key for row in workloads.ROWS if "train" in row.modes and row is not TINY]
    options.add_argument("--rows", default=",".join(known), help=f"of {', '.join(known)}")
    options.add_argument("--peer-python", default=sys.executable, help="the Python that has PyTorch")
    options.add_argument("--json", type=Path, help="write the figures here")
    options = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flownet-benchmark-"))
    results = []
    try:
        workloads.write(TINY, folder)
        print(
            f"| training step, MB | {' | '.join(f'{name} ({variant})' for name, variant in SUBJECTS)} | flownet's plan |"
        )
        print("|---" * (len(SUBJECTS) + 2) + "|")
        for row in [row for row in workloads.ROWS if row.key in options.rows.split(",")]:
            workloads.write(row, folder)
            result: dict[str, Any] = {"row": row.name}
            cells = []
            for name, variant in SUBJECTS:
                python = sys.executable if name.startswith("flownet") else options.peer_python
                found = measured(row, name, variant, python, folder)
                result[f"{name} {variant}"] = found
                cells.append(f"{found['mb']:.0f}" if "mb" in found else found["error"])
            arena = result["flownet opencl opencl"].get("arena_mb")
            print(
                f"| {row.name} ({row.batch}) | {' | '.join(cells)} | {arena:.0f} |"
                if arena
                else f"| {row.name} | {' | '.join(cells)} | |",
                flush=True,
            )
            results.append(result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
