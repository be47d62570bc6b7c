"""tinygrad as a worker of the benchmark: a whole step in one TinyJit, on its CPU device.

Kernels come from clang or from LLVM in the process, as tinygrad's rules write them, or (`beam`) as its search finds them
fastest, which takes minutes where there are convolutions; what it has found stays in tinygrad's cache, so that the next
run gets further. tinygrad 0.14 runs them on one thread. Slower and therefore no modes here: its OpenCL device on PoCL,
which has two threads (LeNet-5's training step 66 ms, LLVM 22, and 134 s to get ready), and WINO=1 (CNN's inference 476
ms, without it 358).

It needs a clang, 14 or newer, even for LLVM: `apt install clang-19`, which brings both.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from contextlib import contextmanager

os.environ["CC"] = next(filter(shutil.which, ("clang", *(f"clang-{n}" for n in range(21, 13, -1)))), "clang")
os.environ["DEV"] = "CPU"

import numpy as np
from protocol import Network, role, serve
from tinygrad import Tensor, TinyJit
from tinygrad.helpers import Context

BEAM = 2  # candidates kept in each round of the search, the number that tinygrad's documentation uses


@contextmanager
def chosen(variant: str):
    """The compiler and the search that a variant asks for."""
    compiler, _, search = variant.partition("+")
    with Context(DEV=f"CPU:{compiler.upper()}", BEAM=BEAM if search else 0):
        yield


def evaluate(
    network: Network, output: str, p: dict[str, Tensor], x: Tensor, training: bool
) -> tuple[Tensor, list[Tensor]]:
    """The value of `output`, and the running statistics that training has renewed."""
    values, renewed = {network.input: x}, []
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
            case "conv_transpose2d":
                y = a[0].conv_transpose2d(
                    w["weight"], w.get("bias"), layer["groups"], tuple(layer["stride"]), 1, tuple(layer["padding"])
                )
            case "batch_norm":
                mean, variance = w["mean"], w["variance"]
                if training:
                    mean = a[0].mean((0, 2, 3))
                    variance = ((a[0] - mean.reshape(1, -1, 1, 1)) ** 2).mean((0, 2, 3))
                    for running, new in ((w["mean"], mean), (w["variance"], variance)):
                        renewed.append(running.assign(0.9 * running + 0.1 * new.detach()))
                y = a[0].batchnorm(w["weight"], w["bias"], mean, (variance + layer["epsilon"]).rsqrt())
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
            case "max_pool":
                window = tuple(layer["kernel"]), tuple(layer["stride"]), 1, tuple(layer["padding"])
                if network.indices_used(layer):
                    y, values[layer["out"][1]] = a[0].max_pool2d(*window, return_indices=True)
                else:
                    y = a[0].max_pool2d(*window)
            case "max_unpool":
                y = a[0].max_unpool2d(a[1], tuple(layer["kernel"]), tuple(layer["stride"]), 1, tuple(layer["padding"]))
            case other:
                raise NotImplementedError(f"{other} is not written for tinygrad here")
        values[layer["out"][0]] = y
    return values[output], renewed


def memory(tensor: Tensor) -> np.ndarray:
    """A realised tensor's numbers in place, once they are computed; `numpy()` and `item()` take 0.2 ms more to schedule a copy."""
    view = tensor.uop.buffer.as_memoryview(allow_zero_copy=True)
    return np.frombuffer(view, np.float32).reshape(tensor.shape or (1,))


class TinyGrad:
    version = f"tinygrad {importlib.metadata.version('tinygrad')}"

    def variants(self, mode: str, dimensions: int) -> list[str]:
        """The slow one first: who runs out of time with it loses nothing that was ready before."""
        return ["clang+beam", "llvm", "clang"]

    def train(self, network: Network, variant: str):
        p, x = {n: Tensor(a).realize() for n, a in network.arrays.items()}, Tensor(network.x).realize()
        label = Tensor(network.label.astype("int32")).realize()
        trained = [p[n] for n in network.trainable]
        velocities = [Tensor.zeros(*t.shape).contiguous().realize() for t in trained]

        @TinyJit
        def update() -> Tensor:
            logits, renewed = evaluate(network, network.logits, p, x, True)
            if logits.ndim == 4:  # its loss takes the classes last
                logits = logits.permute(0, 2, 3, 1)
            loss = logits.sparse_categorical_crossentropy(label)
            for t, v, g in zip(trained, velocities, loss.gradient(*trained), strict=True):
                v.assign(network.momentum * v + g + network.weight_decay * t)
                t.assign(t - network.learning_rate * v)
            return loss.realize(*trained, *velocities, *renewed)

        def step() -> float:
            return float(memory(update())[0])

        step.within = lambda: chosen(variant)  # a TinyJit runs, records and compiles in its first three calls
        return step

    def infer(self, network: Network, variant: str):
        p, x = {n: Tensor(a).realize() for n, a in network.arrays.items()}, Tensor(network.x).realize()
        run = TinyJit(lambda: evaluate(network, network.output, p, x, False)[0].realize())
        with chosen(variant):
            for _ in range(3):
                run()
        return lambda: memory(run())


if __name__ == "__main__":
    serve(TinyGrad)
