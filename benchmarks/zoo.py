"""The model zoo on real data: trainings, figures and pictures of docs/benchmarks.md, "Model zoo".

    python benchmarks/zoo.py fashion          cnn_small on Fashion-MNIST
    python benchmarks/zoo.py faces            autoencoder_faces on the ORL faces, with its reconstructions and its filters
    python benchmarks/zoo.py camvid           deconvnet_camvid on CamVid, with predictions
    python benchmarks/zoo.py depth            resnet110 beside plain110: both losses in one plot
    python benchmarks/zoo.py cifar            resnet20 on CIFAR-10, one cycle
    python benchmarks/zoo.py resnet1202       one training step of 1202 layers: memory and time

Data are sought where FLOWNET_DATA says, else in ../shared/data. `--set` changes the graph as it does for `flownet train`;
`--weights FILE` draws the pictures of a training that is done. The last line printed is the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import pictures

import flownet

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"


def load(name, args, *overrides):
    path = ROOT / "graphs" / f"{name}.yaml"
    return flownet.load(
        path, overrides=[*overrides, *args.set], device=args.device, seed=args.seed, weights=args.weights
    )


def trained(name, args, *overrides):
    """(network, figures) after a training as the graph file and the overrides say, or with the weights of one."""
    net = load(name, args, *overrides)
    if args.weights:
        metrics = {split: {"loss": e.loss, **e.metrics} for split, e in flownet.evaluate(net).items()}
        return net, {"metrics": metrics}
    started = time.perf_counter()
    result = flownet.train(net, folder=args.out or f"runs/zoo-{name}")
    pictures.copy(result.folder / "learning_curve.png", IMAGES / f"{name}_curve.png")
    return net, {"metrics": result.metrics, "epochs": result.epochs, "seconds": round(time.perf_counter() - started)}


def test_split(net):
    return net.document.train.data.open(None, beside=net.document.folder)["test"]


def fashion(args):
    return trained("cnn_small", args)[1]


def faces(args):
    net, figures = trained("autoencoder_faces", args)
    images = test_split(net).take(np.arange(40))["image"]  # a face of each person that training has not seen
    found = net.run(image=images)["reconstruction"]
    pictures.faces(IMAGES / "autoencoder_faces.png", images[::5], found[::5], net.weights["features.weight"])
    mean = images.mean(0)  # the mean face, the best guess without a code
    error = lambda guess: round(float(np.sqrt(np.mean((guess - images) ** 2))), 4)  # noqa: E731
    return {**figures, "rms_error": error(found), "rms_error_of_the_mean_face": error(mean)}


def camvid(args):
    net, figures = trained("deconvnet_camvid", args)
    split = test_split(net)
    confusion = np.zeros((11, 12), np.int64)
    for first in range(0, len(split), 8):
        batch = split.take(np.arange(first, min(first + 8, len(split))))
        predicted = net.run(image=batch["image"])["probabilities"].argmax(1)
        np.add.at(confusion, (predicted.ravel(), batch["mask"].ravel()), 1)
    seen = confusion[:, :11]  # column 11 is void
    right = np.diag(seen)
    iou = right / (seen.sum(0) + seen.sum(1) - right)
    shown = np.array([20, 90, 180])
    batch = split.take(shown)
    raw = pictures.unstandardised(batch["image"])
    predicted = net.run(image=batch["image"])["probabilities"].argmax(1)
    pictures.camvid(IMAGES / "camvid_predictions.png", raw, batch["mask"], predicted)
    classes = dict(zip(pictures.CAMVID, iou.round(3).tolist(), strict=True))
    return {**figures, "pixel_accuracy": right.sum() / seen.sum(), "mean_iou": iou.mean(), "iou": classes}


def depth(args):
    """Both nets from the same seed, on the same batches, at the same rates."""
    losses = {}
    for name in ("resnet110", "plain110"):
        net, curve = load(name, args, f"train.batch={args.batch}"), []

        def step(progress, curve=curve):
            if progress.kind == "step":
                curve.append(progress.loss)
            return len(curve) < args.steps

        flownet.train(net, folder=f"{args.out or 'runs/zoo-depth'}/{name}", callback=step)
        losses[name] = curve
        print(name, len(curve), "steps, mean loss of the last 20:", round(float(np.mean(curve[-20:])), 4), flush=True)
    pictures.losses(
        IMAGES / "depth_110.png", losses, f"training loss, batch {args.batch} of CIFAR-10 (running mean of 20 steps)"
    )
    return {name: {"first": curve[0], "last_20": float(np.mean(curve[-20:]))} for name, curve in losses.items()}


def cifar(args):
    return trained(
        "resnet20", args, "train.schedule=one_cycle", "train.epochs=30", "train.optimizer.sgd.nesterov=true"
    )[1]


def resnet1202(args):
    from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph

    rng = np.random.default_rng(args.seed)
    started = time.perf_counter()
    net = load("resnet1202", args)
    graph = training_graph(net.document.train)
    loaded = time.perf_counter()
    plan = net.session.plan(graph, {"N": args.batch})
    planned = time.perf_counter()
    label = rng.integers(0, 10, args.batch).astype(np.int32)
    image = rng.standard_normal((args.batch, 3, 32, 32)).astype(np.float32)
    loss = float(plan({"image": image, "label": label, LEARNING_RATE: np.float32(0.01), STEP: np.float32(1)})["loss"])
    return {
        "batch": args.batch,
        "loss": loss,
        "load_s": round(loaded - started, 1),
        "plan_and_build_s": round(planned - loaded, 1),
        "step_s": round(time.perf_counter() - planned, 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["fashion", "faces", "camvid", "depth", "cifar", "resnet1202"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--weights")
    parser.add_argument("--out")
    parser.add_argument("--batch", type=int, default=32, help="of depth and resnet1202")
    parser.add_argument("--steps", type=int, default=300, help="of depth")
    arguments = parser.parse_args()
    os.environ.setdefault("FLOWNET_DATA", str(ROOT.parent / "shared" / "data"))
    IMAGES.mkdir(parents=True, exist_ok=True)
    print(
        json.dumps(
            {"result": arguments.which, "seed": arguments.seed, **globals()[arguments.which](arguments)}, default=float
        )
    )
