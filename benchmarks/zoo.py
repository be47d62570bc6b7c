"""The model zoo on real data: trainings, figures and pictures of docs/benchmarks.md, "Model zoo".

    python benchmarks/zoo.py fashion          cnn_small on Fashion-MNIST
    python benchmarks/zoo.py faces            autoencoder_faces on the ORL faces, with its reconstructions and its filters
    python benchmarks/zoo.py camvid           deconvnet_camvid on CamVid, with predictions
    python benchmarks/zoo.py cifar            resnet20 on CIFAR-10, one cycle of 14 epochs
    python benchmarks/zoo.py cifar_paper      resnet20 on CIFAR-10 as the paper trains it
    python benchmarks/zoo.py depth            resnet110 beside plain110: both losses in one plot
    python benchmarks/zoo.py plan             the training steps of resnet110 and resnet1202 planned: time, and memory over its bound
    python benchmarks/zoo.py resnet1202       one training step of 1202 layers: memory and time

Data are sought where FLOWNET_DATA says, else in ../shared/data. `--set` changes the graph as it does for `flownet train`;
`--weights FILE` draws the pictures of a training that is done; `--resume` goes on with one that was interrupted. depth keeps its
losses in losses.json below `--out`, and `--losses FILE` draws them again. The last line printed is the result as JSON.
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
from checkout import ROOT

import flownet
import flownet.language


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
    result = flownet.train(net, folder=args.out or f"runs/zoo-{name}", resume=args.resume)
    pictures.copy(result.folder / "learning_curve.png", args.images / f"{name}_curve.png")
    return net, {"metrics": result.metrics, "epochs": result.epochs, "seconds": round(time.perf_counter() - started)}


def test_split(net):
    return net.document.train.data.open(None, beside=net.document.folder)["test"]


def fashion(args):
    return trained("cnn_small", args)[1]


def faces(args):
    net, figures = trained("autoencoder_faces", args)
    images = test_split(net).take(np.arange(40))["image"]  # a face of each person that training has not seen
    found = net.run(image=images)["reconstruction"]
    pictures.faces(args.images / "autoencoder_faces.png", images[::5], found[::5], net.weights["features.weight"])
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
    pictures.camvid(args.images / "camvid_predictions.png", raw, batch["mask"], predicted)
    classes = dict(zip(pictures.CAMVID, iou.round(3).tolist(), strict=True))
    return {**figures, "pixel_accuracy": right.sum() / seen.sum(), "mean_iou": iou.mean(), "iou": classes}


def depth(args):
    """Both nets from the same seed, on the same batches, at the same rates."""
    losses = json.loads(Path(args.losses).read_text()) if args.losses else depth_losses(args)
    pictures.losses(
        args.images / "depth_110.png",
        losses,
        "training loss on CIFAR-10 from the He initialisation (running mean of 20 steps)",
    )
    return {
        name: {"steps": len(curve), "first": curve[0], "last_20": float(np.mean(curve[-20:]))}
        for name, curve in losses.items()
    }


def depth_losses(args):
    folder, losses = Path(args.out or "runs/zoo-depth"), {}
    for name in ("resnet110", "plain110"):
        net, curve = load(name, args, f"train.batch={args.batch}"), []

        def step(progress, curve=curve):
            if progress.kind == "step":
                curve.append(progress.loss)
            return len(curve) < args.steps

        flownet.train(net, folder=folder / name, callback=step)
        losses[name] = curve
        print(name, len(curve), "steps, mean loss of the last 20:", round(float(np.mean(curve[-20:])), 4), flush=True)
        (folder / "losses.json").write_text(json.dumps(losses))
    return losses


ONE_CYCLE = {
    "train.schedule": "{one_cycle: {peak: 0.25}}",
    "train.epochs": 14,
    "train.optimizer.sgd.learning_rate": 0.2,
    "train.optimizer.sgd.nesterov": "true",
    "train.optimizer.sgd.weight_decay": 5e-4,
}


def cifar(args):
    return trained("resnet20", args, *(f"{path}={value}" for path, value in ONE_CYCLE.items()))[1]


def cifar_paper(args):
    return trained("resnet20", args)[1]


def plan(args):
    """Seconds of the processor for the gradient, the passes, the order and the memory plan, without building kernels."""
    from flownet.passes.order_nodes import order_nodes
    from flownet.passes.pipeline import PIPELINE, run_passes
    from flownet.passes.plan_memory import plan_memory
    from flownet.training.training_graph import training_graph

    figures = {}
    for name in ("resnet110", "resnet1202"):
        started = time.process_time()
        document = flownet.language.load(ROOT / "graphs" / f"{name}.yaml", overrides=args.set)
        loaded = time.process_time()
        graph = run_passes(training_graph(document.train).bind({"N": args.batch}), None, PIPELINE)
        order = order_nodes(graph)
        memory = plan_memory(graph, order)
        figures[name] = {
            "nodes": len(order),
            "load_s": round(loaded - started, 2),
            "plan_s": round(time.process_time() - loaded, 2),
            "mib": round(memory.arena_bytes / 2**20, 1),
            "of_lower_bound": memory.arena_bytes / memory.lower_bound,
        }
    return {"batch": args.batch, **figures}


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
    commands = (fashion, faces, camvid, cifar, cifar_paper, depth, plan, resnet1202)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=[command.__name__ for command in commands])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--weights")
    parser.add_argument("--out", help="the run's folder")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images", help="where pictures go")
    parser.add_argument("--batch", type=int, default=128, help="of depth, plan and resnet1202")
    parser.add_argument("--steps", type=int, default=300, help="of depth")
    parser.add_argument("--losses", help="the losses.json of depth to draw again")
    arguments = parser.parse_args()
    os.environ.setdefault("FLOWNET_DATA", str(ROOT.parent / "shared" / "data"))
    arguments.images.mkdir(parents=True, exist_ok=True)
    figures = {"result": arguments.which, "seed": arguments.seed, **globals()[arguments.which](arguments)}
    print(json.dumps(figures, default=float))
