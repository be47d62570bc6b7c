"""From nothing to the first training step, in fresh processes: once with empty caches of kernels, then with what the first left there.

    python benchmarks/startup.py [--rows resnet-20] [--runs 3] [--device opencl]

Seconds from the start of the interpreter to the loss of the first step on the host, and how they are spent: imports, opening
the device, reading the file, the plan (differentiation, passes, memory, generated source), compiling, the step.
`processor` is the time of all threads together: on a machine that does other things as well it is the steadier figure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  measure the flownet beside this folder

PARTS = ("imports", "device", "file", "plan", "compiling", "step")


def child(key: str, device: str, begun: float) -> None:
    """Take the first step of a row, and print what each part took."""
    marks = [begun]

    def mark() -> None:
        marks.append(time.time())

    import numpy as np
    import workloads

    from flownet.devices.choose import choose_device
    from flownet.executor import Session
    from flownet.training.training_graph import training_graph

    mark()
    chosen = choose_device(device)
    compiling, built = 0.0, 0
    if hasattr(chosen, "runtime"):
        build = chosen.runtime.build

        def timed(*arguments: Any, **named: Any) -> Any:
            nonlocal compiling, built
            start, built = time.time(), built + 1
            try:
                return build(*arguments, **named)
            finally:
                compiling += time.time() - start

        chosen.runtime.build = timed
    mark()
    row = next(row for row in workloads.ROWS if row.key == key)
    graph = training_graph(workloads.document(row).train)
    mark()
    session = Session(chosen)
    program = session.plan(graph, dict.fromkeys(sorted(graph.symbols()), row.batch)).program
    mark()
    for value in program.graph.inputs:
        program.feed(value.name, np.zeros(tuple(value.type.shape), value.type.dtype.numpy))  # type: ignore[arg-type]
    program.run()
    program.fetch("loss")
    mark()
    parts = [after - before for before, after in pairwise(marks)]
    imports, opening, file, plan, step = parts
    used = os.times()
    figures = dict(zip(PARTS, (imports, opening, file, plan - compiling, compiling, step), strict=True))
    print(json.dumps({**figures, "whole": marks[-1] - begun, "processor": used.user + used.system, "programs": built}))


def measured(key: str, device: str, caches: Path) -> dict[str, float]:
    environment = {**os.environ, "POCL_CACHE_DIR": str(caches / "pocl"), "FLOWNET_CACHE_DIR": str(caches / "flownet")}
    # NVIDIA's driver and Intel's keep kernels of their own
    environment |= {"CUDA_CACHE_PATH": str(caches / "cuda"), "NEO_CACHE_DIR": str(caches / "neo")}
    command = [sys.executable, __file__, "--child", key, "--device", device, "--begun", str(time.time())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", default="resnet-20", help="rows of the benchmark, by commas")
    options.add_argument("--runs", type=int, default=3, help="how often; the medians are printed")
    options.add_argument("--device", default="opencl")
    options.add_argument("--child", help=argparse.SUPPRESS)
    options.add_argument("--begun", type=float, help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.child:
        child(options.child, options.device, options.begun)
        return
    print(f"| start | {' | '.join(PARTS)} | whole | processor |")
    print("|---" * (len(PARTS) + 3) + "|")
    for key in options.rows.split(","):
        found: dict[str, list[dict[str, float]]] = {"first": [], "second": []}
        for _ in range(options.runs):
            caches = Path(tempfile.mkdtemp(prefix="flownet-startup-"))
            try:
                for start in found:
                    found[start].append(measured(key, options.device, caches))
            finally:
                shutil.rmtree(caches, ignore_errors=True)
        for start, runs in found.items():
            cells = [statistics.median(run[part] for run in runs) for part in (*PARTS, "whole", "processor")]
            print(f"| {key}, {start} | {' | '.join(f'{cell:.2f} s' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
