"""tinygrad as a worker of the benchmark: a whole step in one TinyJit, on its CPU device."""

from __future__ import annotations

import os

os.environ.setdefault("DEV", "CPU")
os.environ.setdefault("THREADS", "2")

import importlib.metadata

from protocol import Network, role, serve
from tinygrad import Tensor, TinyJit


def evaluate(network: Network, output: str, p: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    values = {network.input: x}
    for layer in network.until(output):
        a = [values[name] for name in layer["in"]]
        w = {role(k) if layer["op"] == "batch_norm" else k: p[n] for k, n in layer["params"].items()}
        match layer["op"]:
            case "dense":
                y = a[0].linear(w["weight"].T, w["bias"])
            case "conv2d":
                y = a[0].conv2d(
                    w["weight"], w.get("bias"), layer["groups"], tuple(layer["stride"]), 1, tuple(layer["padding"])
                )
            case "batch_norm":
                mean, scale = w["mean"], (w["variance"] + layer["epsilon"]).rsqrt()
                if training:
                    mean = a[0].mean((0, 2, 3))
                    scale = (((a[0] - mean.reshape(1, -1, 1, 1)) ** 2).mean((0, 2, 3)) + layer["epsilon"]).rsqrt()
                y = a[0].batchnorm(w["weight"], w["bias"], mean, scale)
            case "relu":
                y = a[0].relu()
            case "tanh":
                y = a[0].tanh()
            case "softmax":
                y = a[0].softmax(layer["axis"])
            case "flatten":
                y = a[0].flatten(1)
            case "add":
                y = sum(a[1:], a[0])
            case "global_avg_pool":
                y = a[0].mean((2, 3))
            case "shortcut":
                y = a[0][:, :, :: layer["stride"][0], :: layer["stride"][1]]
                more = layer["shape"][1] - y.shape[1]
                y = y.pad((None, (0, more), None, None)) if more else y
            case "avg_pool":
                y = a[0].avg_pool2d(tuple(layer["kernel"]), tuple(layer["stride"]), padding=tuple(layer["padding"]))
            case "max_pool" if not network.indices_used(layer):
                y = a[0].max_pool2d(tuple(layer["kernel"]), tuple(layer["stride"]), padding=tuple(layer["padding"]))
            case other:
                raise NotImplementedError(f"{other} is not written for tinygrad here")
        values[layer["out"][0]] = y
    return values[output]


class TinyGrad:
    version = f"tinygrad {importlib.metadata.version('tinygrad')}"

    def variants(self, mode: str) -> list[str]:
        return ["jit"]

    def train(self, network: Network, variant: str):
        p, x = {n: Tensor(a).realize() for n, a in network.arrays.items()}, Tensor(network.x).realize()
        label = Tensor(network.label.astype("int32")).realize()
        trained = [p[n] for n in network.trainable]
        velocities = [Tensor.zeros(*t.shape).contiguous().realize() for t in trained]

        @TinyJit
        def update() -> Tensor:
            loss = evaluate(network, network.logits, p, x, True).sparse_categorical_crossentropy(label)
            gradients = loss.gradient(*trained)
            for t, v, g in zip(trained, velocities, gradients, strict=True):
                v.assign(network.momentum * v + g + network.weight_decay * t)
                t.assign(t - network.learning_rate * v)
            return loss.realize(*trained, *velocities)

        def step() -> float:
            return float(update().item())

        return step

    def infer(self, network: Network, variant: str):
        p, x = {n: Tensor(a).realize() for n, a in network.arrays.items()}, Tensor(network.x).realize()
        run = TinyJit(lambda: evaluate(network, network.output, p, x, False).realize())
        for _ in range(3):
            run()
        return lambda: run().numpy()


if __name__ == "__main__":
    serve(TinyGrad)
