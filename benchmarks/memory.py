"""Peak memory of training steps, flownet beside PyTorch, each in a fresh process.

    python benchmarks/memory.py [--rows cnn,resnet-20] [--peer-python PYTHON] [--json FILE]

A cell says by how many MB five training steps raise the process's resident set at its highest, and in brackets how much of that is
files' pages: code of a library that is needed for the first time, which the system may drop again. Behind the slash stands the
resident set itself at that time, MB. What is counted begins when the libraries are imported, one tiny network (XOR) has been trained,
so that thread pools are there, and all that is free has been given back to the system; weights, gradients, optimiser states, batches, and
flownet's kernels with what the driver keeps of them are counted. Kernels come from the cache, as at every start but a model's
first. The last column is what flownet's plan says that it needs.

It reads /proc: Linux, and the GNU C library.
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
        process = worker.process.pid
        worker.ask("prepare", TINY.key, "train", variant)
        worker.ask("settle")
        Path(f"/proc/{process}/clear_refs").write_text(
            "5"
        )  # VmHWM begins anew: what was taken and freed before does not hide a rise
        before = _resident(process)
        answer = worker.ask("prepare", row.key, "train", variant)
        if "error" in answer:
            return answer
        after = _resident(process)
        found = {
            "mb": (after["VmHWM"] - before["VmRSS"]) / 1e6,
            "files_mb": (after["RssFile"] - before["RssFile"]) / 1e6,
            "process_mb": after["VmHWM"] / 1e6,
        }
        return found | ({"arena_mb": answer["arena"] / 1e6} if "arena" in answer else {})
    finally:
        worker.end()


def _resident(process: int) -> dict[str, int]:
    """A process's resident set, bytes: now (`VmRSS`), that of files' pages (`RssFile`), and the highest (`VmHWM`)."""
    lines = (line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in lines if words[0] in ("VmHWM:", "VmRSS:", "RssFile:")}


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
                cells.append(
                    f"{found['mb']:.1f} ({found['files_mb']:.1f}) / {found['process_mb']:.0f}"
                    if "mb" in found
                    else found["error"]
                )
            arena = result["flownet opencl opencl"].get("arena_mb")
            print(
                f"| {row.name} ({row.batch}) | {' | '.join(cells)} | {arena:.1f} |"
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
