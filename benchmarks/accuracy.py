"""What the graphs of graphs/ reach on their test data: trains each, and prints a table.

python benchmarks/accuracy.py                            # those without downloads: under a minute
FLOWNET_DATA=../shared/data python benchmarks/accuracy.py --mnist          # also MNIST: ten minutes on two cores
python benchmarks/accuracy.py digits xor --seeds 0 1 2 --device cpu
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  measure the flownet beside this folder

import flownet

GRAPHS = Path(__file__).parents[1] / "graphs"
EMBEDDED = ("digits", "logistic_regression", "linear_regression", "xor")
MNIST = ("softmax_regression", "mlp_mnist", "lenet5")


def trained(name: str, seed: int, device: str) -> dict[str, Any]:
    """The figures of one training run."""
    net = flownet.load(GRAPHS / f"{name}.yaml", device=device, seed=seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = flownet.train(net, folder=Path(folder) / "run")
    split = "test" if "test" in result.metrics else "train"
    figures = dict(result.metrics.get("test") or flownet.evaluate(net, ["train"])["train"].metrics)
    figures.setdefault("loss", flownet.evaluate(net, [split])[split].loss)
    return {
        "graph": name, "seed": seed, "device": net.session.device.name, "split": split, "epochs": result.epochs,
        "seconds": time.perf_counter() - began, **figures,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*")
    parser.add_argument("--mnist", action="store_true", help="also the graphs that need MNIST")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="a line of JSON a run")
    arguments = parser.parse_args()
    names = arguments.graphs or [*EMBEDDED, *(MNIST if arguments.mnist else ())]
    if not arguments.json:
        print(
            "| graph | seed | device | epochs | seconds | split | loss | accuracy |\n|---|---|---|---|---|---|---|---|"
        )
    for name in names:
        for seed in arguments.seeds:
            row = trained(name, seed, arguments.device)
            if arguments.json:
                print(json.dumps(row), flush=True)
                continue
            accuracy = next((f"{100 * value:.2f}%" for key, value in row.items() if "accuracy" in key), "–")
            cells = [
                name,
                seed,
                row["device"],
                row["epochs"],
                f"{row['seconds']:.1f}",
                row["split"],
                f"{row['loss']:.4f}",
                accuracy,
            ]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
