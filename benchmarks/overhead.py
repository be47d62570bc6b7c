"""What flownet costs beyond the arithmetic: for a step of a plan, a training step of XOR, a node of a large graph.

    python benchmarks/overhead.py              # all; about a minute
    python benchmarks/overhead.py --json

The bounds: 2 µs a step of the plan beyond the NumPy calls; 100 µs a training step of the 2-8-2 XOR network; 10 s to
load, check and plan a graph of 10,000 nodes, and linear in the number of nodes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  measure the flownet beside this folder
import numpy as np

import flownet
from flownet.devices.cpu.device import CPU
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.language import check
from flownet.ops.activation.relu import Relu
from flownet.training.trainer import Trainer
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph
from flownet.types import DType, TensorType

GRAPHS = Path(__file__).parents[1] / "graphs"


def best_of(run: Callable[[], Any], repeats: int, loops: int) -> float:
    """Seconds a call: the best of `repeats`, because whatever else the machine does only adds."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(loops):
            run()
        best = min(best, (time.perf_counter() - began) / loops)
    return best


def step_overhead(steps: int = 1000) -> dict[str, float]:
    """A chain of `relu` over four numbers: what a step costs beyond `np.maximum(x, 0, out)` in a bare loop."""
    g = Builder(Graph())
    value = g.input("x", TensorType(DType.float32, (4,)))
    for _ in range(steps):
        value = g.add(Relu(), value)
    g.graph.output(value.name)
    program = Session(CPU()).plan(g.graph).program
    arrays = [np.zeros(4, np.float32) for _ in range(steps + 1)]
    pairs = list(pairwise(arrays))
    maximum = np.maximum

    def bare() -> None:
        for x, y in pairs:
            maximum(x, 0, out=y)

    planned = best_of(program.run, 20, 10) / len(program.steps)
    numpy = best_of(bare, 20, 10) / steps
    return {"us_a_step": 1e6 * planned, "us_of_numpy": 1e6 * numpy, "us_beyond": 1e6 * (planned - numpy)}


def xor_step() -> dict[str, float]:
    """One training step of graphs/xor.yaml: the plan alone, and with everything that the trainer does between steps."""
    net = flownet.load(GRAPHS / "xor.yaml", device="cpu")
    section = net.document.train
    splits = section.data.open()
    batch = splits["train"].take(np.arange(4))
    program = net.session.plan(training_graph(section), {"N": 4}).program
    inputs = {**batch, LEARNING_RATE: np.float32(0.5), STEP: np.float32(1)}
    inputs = {value.name: inputs[value.name] for value in program.graph.inputs}  # type: ignore[attr-defined]

    def step() -> None:
        for name, array in inputs.items():
            program.feed(name, array)
        program.run()
        program.fetch("loss")

    trainer = Trainer(net.session, section, splits)
    told = trainer.run()
    next(told)
    return {
        "us_plan": 1e6 * best_of(program.run, 20, 100),
        "us_step": 1e6 * best_of(step, 20, 100),
        "us_trainer": 1e6 * best_of(lambda: next(told), 5, 30),
        "plan_steps": len(program.steps),
    }


def large_graph(nodes: int) -> dict[str, float]:
    """Seconds to load and check, and to plan a training step of, `nodes` nodes in a chain of dense layers and relus.

    Seconds of the processor: all of this runs on one core, and a machine that does other things as well distorts less.
    """
    width = 8
    lines = [
        "inputs: {x: float32[N, 8], y: float32[N, 8]}",
        "nodes:",
        f"  - dense: {{in: x, units: {width}}}",
        "  - relu",
    ]
    lines += [f"  - dense: {{units: {width}}}", "  - relu"] * (nodes // 2 - 1)
    lines += [
        "train:",
        f"  loss: {{squared_error: {{in: [relu_{nodes // 2}, y]}}}}",
        "  optimizer: sgd",
        "  batch: 4",
        "",
    ]
    began = time.process_time()
    document, diagnostics = check("\n".join(lines))
    loaded = time.process_time()
    assert document is not None, diagnostics
    session = Session(CPU())
    session.plan(training_graph(document.train), {"N": 4})
    planned = time.process_time()
    return {"nodes": nodes, "load_s": loaded - began, "plan_s": planned - loaded, "total_s": planned - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--largest", type=int, default=10_000)
    arguments = parser.parse_args()
    large_graph(100)  # imports and caches
    found: dict[str, Any] = {
        "step": step_overhead(),
        "xor": xor_step(),
        "graphs": [large_graph(arguments.largest // part) for part in (4, 2, 1)],
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    step, xor = found["step"], found["xor"]
    print(f"a plan step of 4 numbers   {step['us_a_step']:.2f} µs, NumPy's call alone {step['us_of_numpy']:.2f} µs")
    print(f"XOR training step          {xor['us_plan']:.0f} µs the plan of {xor['plan_steps']} steps")
    print(f"                           {xor['us_step']:.0f} µs with feeding and fetching")
    print(f"                           {xor['us_trainer']:.0f} µs in the trainer, with metrics and batches")
    print("nodes     load     plan    total  ms a node")
    for row in found["graphs"]:
        seconds = " ".join(f"{row[key]:6.2f} s" for key in ("load_s", "plan_s", "total_s"))
        print(f"{row['nodes']:6,} {seconds} {1000 * row['total_s'] / row['nodes']:9.3f}")
    least, most = found["graphs"][0], found["graphs"][-1]
    print(
        f"{most['nodes'] / least['nodes']:.0f} times the nodes take {most['total_s'] / least['total_s']:.1f} times as long"
    )


if __name__ == "__main__":
    main()
