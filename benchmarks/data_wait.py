"""The part of the training time that is spent waiting for data: decoding and augmentation behind computing.

    python benchmarks/data_wait.py [--device auto] [--steps 60]

CIFAR-10, cropped, flipped and standardised, into ResNet-20; CamVid, decoded from PNG, flipped and standardised with its masks, into
deconvnet_camvid. The first step, which plans and builds kernels, is left out. A run that is stopped early (Ctrl-C) counts the
steps that it took, `steps`.
"""

from __future__ import annotations

import argparse
import json
import os
import time

from checkout import ROOT

import flownet

WORKLOADS = {"resnet20": "cifar10", "deconvnet_camvid": "camvid"}


def share_waited(name: str, device: str, steps: int) -> dict[str, float]:
    """Seconds of `steps` training steps, seconds of them that the loop waited for its next batch, and their quotient."""
    net = flownet.load(ROOT / "graphs" / f"{name}.yaml", device=device, seed=0)
    marks: list[tuple[float, float]] = []

    def note(progress) -> bool:
        if progress.kind == "step":
            marks.append((time.perf_counter(), progress.waited_s))
        return len(marks) <= steps

    flownet.train(net, folder=f"runs/wait-{name}", callback=note)
    if len(marks) < 2:
        raise SystemExit(f"{name}: stopped in its first two steps, before there is anything to measure")
    (start, waited_before), (end, waited) = marks[0], marks[-1]
    seconds, waited = end - start, waited - waited_before
    return {"steps": len(marks) - 1, "seconds": seconds, "waited_s": waited, "share": waited / seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps takes 1 or more")
    os.environ.setdefault("FLOWNET_DATA", str(ROOT.parent / "shared" / "data"))
    for name, dataset in WORKLOADS.items():
        found = share_waited(name, arguments.device, arguments.steps)
        print(json.dumps({"graph": name, "data": dataset, **{key: round(value, 5) for key, value in found.items()}}))
