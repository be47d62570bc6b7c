"""Milliseconds of a training step and of inference, flownet beside its peers, in one run.

    python benchmarks/steps.py [--only resnet] [--mode train|infer] [--peers torch,torch_last,torch_compile,jax,onnxruntime,openvino]
                               [--python PEERS_PYTHON] [--seconds 4] [--threads 2] [--json FILE]

Every framework runs in a process of its own, which builds the workload once and then waits for orders: a round gives each of them a few
steps in turn, so that whatever else the machine does hits all alike. The median over rounds counts. A training step is forward, loss,
backward and update (SGD, momentum 0.9, weight decay 1e-4), float32; the loss is fetched at the end of each, which makes every framework finish.
Peers that are not installed in `--python` (default: this one) are left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

Conv = tuple  # ("conv", channels, kernel, stride, padding, bias)


def conv(channels, kernel=3, stride=1, padding=1, bias=True):
    return ("conv", channels, kernel, stride, padding, bias)


def cifar_resnet(n):
    stages = [("residual", c, 2 if c > 16 and i == 0 else 1) for c in (16, 32, 64) for i in range(n)]
    return [conv(16, bias=False), ("bn",), ("relu",), *stages, ("gap",), ("dense", 10)]


def resnet50():
    stages = [("bottleneck", c, s if i == 0 else 1) for c, k, s in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)) for i in range(k)]
    return [conv(64, 7, 2, 3, False), ("bn",), ("relu",), ("max_pool", 3, 2, 1), *stages, ("gap",), ("dense", 1000)]


def vgg19():
    layers = []
    for c, k in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        layers += [x for _ in range(k) for x in (conv(c), ("relu",))] + [("max_pool", 2, 2, 0)]
    return [*layers, ("flatten",), ("dense", 4096), ("relu",), ("dense", 4096), ("relu",), ("dense", 1000)]


POOL = ("max_pool", 2, 2, 0)
DECONV = [
    conv(32), ("relu",), ("switch",), conv(64), ("relu",), ("switch",), conv(128), ("relu",), ("switch",),
    ("unpool",), ("deconv", 64), ("relu",), ("unpool",), ("deconv", 32), ("relu",), ("unpool",), ("deconv", 3),
]  # fmt: skip

# name -> (layers, shape of an example, classes (0: the target is the image), batch)
WORKLOADS = {
    "xor": ([("dense", 8), ("tanh",), ("dense", 2)], (2,), 2, 4),
    "mlp": ([("dense", 256), ("relu",), ("dense", 128), ("relu",), ("dense", 10)], (784,), 10, 64),
    "lenet5": (
        [conv(6, 5, 1, 2), ("tanh",), ("avg_pool", 2), conv(16, 5, 1, 0), ("tanh",), ("avg_pool", 2), ("flatten",),
         ("dense", 120), ("tanh",), ("dense", 84), ("tanh",), ("dense", 10)], (1, 28, 28), 10, 64),
    "cnn": (
        [conv(32), ("relu",), conv(32), ("relu",), POOL, conv(64), ("relu",), conv(64), ("relu",), POOL, ("flatten",),
         ("dense", 256), ("relu",), ("dense", 10)], (3, 32, 32), 10, 64),
    "resnet20": (cifar_resnet(3), (3, 32, 32), 10, 64),
    "resnet110": (cifar_resnet(18), (3, 32, 32), 10, 32),
    "deconv": (DECONV, (3, 96, 96), 0, 8),
    "resnet50": (resnet50(), (3, 224, 224), 1000, 1),
    "resnet50_b8": (resnet50(), (3, 224, 224), 1000, 8),
    "vgg19": (vgg19(), (3, 224, 224), 1000, 1),
    "vgg19_b8": (vgg19(), (3, 224, 224), 1000, 8),
}  # fmt: skip
INFERENCE_ONLY = {"resnet50", "resnet50_b8", "vgg19", "vgg19_b8"}


def batch_of(name):
    """(images, targets) of a workload."""
    _, shape, classes, n = WORKLOADS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *shape)).astype(np.float32)
    return x, rng.integers(0, classes, n) if classes else x


# -- flownet -----------------------------------------------------------------------------------------------------------------


def flownet_graph(name):
    """(graph, output value) of a workload."""
    from flownet.graph import Builder, Graph
    from flownet.registry import default_registry
    from flownet.types import DType, TensorType

    layers, shape, _, n = WORKLOADS[name]
    registry = default_registry()
    graph = Graph(name)
    g = Builder(graph)

    def add(op, *inputs, **attributes):
        made = g.add(registry.get("op", op)(**attributes), *inputs)
        return made[0] if isinstance(made, tuple) and op != "max_pool" else made

    def convolution(h, c, kernel, stride, padding, bias):
        return add("conv2d", h, channels=c, kernel=kernel, stride=stride, padding=padding, bias=bias)

    def normalised(h, *args):
        return add("batch_norm", convolution(h, *args, False))

    h = g.input("x", TensorType(DType.float32, (n, *shape)))
    switches = []
    for kind, *args in layers:
        if kind == "conv":
            h = convolution(h, *args)
        elif kind == "bn":
            h = add("batch_norm", h)
        elif kind in ("relu", "tanh", "flatten"):
            h = add(kind, h)
        elif kind == "dense":
            h = add("dense", h, units=args[0])
        elif kind == "max_pool":
            h = add("max_pool", h, kernel=args[0], stride=args[1], padding=args[2])[0]
        elif kind == "avg_pool":
            h = add("avg_pool", h, kernel=args[0])
        elif kind == "gap":
            h = add("global_avg_pool", h)
        elif kind == "switch":
            h, places = add("max_pool", h, kernel=2)
            switches.append(places)
        elif kind == "unpool":
            h = add("max_unpool", h, switches.pop(), kernel=2)
        elif kind == "deconv":
            h = add("conv_transpose2d", h, channels=args[0], kernel=3, padding=1)
        elif kind in ("residual", "bottleneck"):
            c, s = args
            skip = h
            if kind == "residual":
                h = normalised(add("relu", normalised(h, c, 3, s, 1)), c, 3, 1, 1)
                wide = c
            else:
                h = add("relu", normalised(h, c, 1, 1, 0))
                h = normalised(add("relu", normalised(h, c, 3, s, 1)), 4 * c, 1, 1, 0)
                wide = 4 * c
            if s != 1 or skip.type.shape[1] != wide:
                skip = normalised(skip, wide, 1, s, 0)
            h = add("relu", add("add", h, skip))
        else:
            raise AssertionError(kind)
    return graph, h, g, add


class Flownet:
    """The workload on the OpenCL device."""

    def __init__(self, name, train, threads, device="opencl"):
        from flownet.devices.choose import choose_device
        from flownet.executor import Session
        from flownet.graph import Builder
        from flownet.passes.differentiate import differentiate
        from flownet.passes.expand_composites import expand_composites
        from flownet.passes.specialise_inference import specialise_inference
        from flownet.registry import default_registry
        from flownet.types import DType, TensorType

        graph, h, g, add = flownet_graph(name)
        x, t = batch_of(name)
        self.feeds = {"x": x}
        start = time.perf_counter()
        if train:
            self.feeds |= {"lr": np.float32(0.01)}
            if t is x:
                loss = add("squared_error", h, graph.values["x"])
            else:
                self.feeds["t"] = t
                loss = add("cross_entropy", h, g.input("t", TensorType(DType.int64, t.shape)))
            graph.outputs = {"out": loss.name}
            graph = expand_composites(graph)
            trained = [v.name for v in graph.parameters if v.trainable]
            graph, gradients = differentiate(graph, graph.outputs["out"], trained)
            g = Builder(graph)
            rate = g.input("lr", TensorType(DType.float32, ()))
            sgd = default_registry().get("op", "sgd")(momentum=0.9, weight_decay=1e-4)
            for p in trained:
                g.add(sgd, parameter=graph.values[p], gradient=graph.values[gradients[p]], learning_rate=rate, name=f"sgd/{p}")
        else:
            graph.outputs = {"out": h.name}
            graph = specialise_inference(graph)
        self.session = Session(choose_device(device))
        self.program = self.session.plan(graph, {}).program
        self.start_up = time.perf_counter() - start
        self.flops = sum(step.flops for step in self.program.steps)
        self.peak_bytes = self.program.peak_bytes

    def step(self):
        program = self.program
        for name, array in self.feeds.items():
            program.feed(name, array)
        program.run()
        return program.fetch("out")


# -- PyTorch -----------------------------------------------------------------------------------------------------------------


def torch_model(name):
    import torch
    from torch import nn

    layers, shape, _, _ = WORKLOADS[name]

    class Residual(nn.Module):
        def __init__(self, kind, c_in, c, s):
            super().__init__()
            shapes = [(c_in, c, 3, s, 1), (c, c, 3, 1, 1)]
            if kind == "bottleneck":
                shapes = [(c_in, c, 1, 1, 0), (c, c, 3, s, 1), (c, 4 * c, 1, 1, 0)]
            parts = []
            for i, (a, b, k, stride, pad) in enumerate(shapes):
                parts += [nn.Conv2d(a, b, k, stride, pad, bias=False), nn.BatchNorm2d(b)]
                parts += [nn.ReLU()] if i < len(shapes) - 1 else []
            wide = shapes[-1][1]
            self.body = nn.Sequential(*parts)
            self.skip = None
            if s != 1 or c_in != wide:
                self.skip = nn.Sequential(nn.Conv2d(c_in, wide, 1, s, bias=False), nn.BatchNorm2d(wide))

        def forward(self, x):
            return torch.relu(self.body(x) + (x if self.skip is None else self.skip(x)))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList()
            self.kinds = []
            at = torch.zeros(2, *shape)
            switches = []
            for kind, *args in layers:
                c = at.shape[1]
                if kind == "conv":
                    layer = nn.Conv2d(c, args[0], args[1], args[2], args[3], bias=args[4])
                elif kind == "deconv":
                    layer = nn.ConvTranspose2d(c, args[0], 3, padding=1)
                elif kind == "dense":
                    layer = nn.Linear(c, args[0])
                elif kind == "bn":
                    layer = nn.BatchNorm2d(c)
                elif kind in ("residual", "bottleneck"):
                    layer = Residual(kind, c, *args)
                else:
                    layer = {
                        "relu": nn.ReLU, "tanh": nn.Tanh, "flatten": nn.Flatten,
                        "max_pool": lambda: nn.MaxPool2d(*args),  # noqa: B023
                        "avg_pool": lambda: nn.AvgPool2d(args[0]),  # noqa: B023
                        "gap": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                        "switch": lambda: nn.MaxPool2d(2, return_indices=True), "unpool": lambda: nn.MaxUnpool2d(2),
                    }[kind]()  # fmt: skip
                self.layers.append(layer)
                self.kinds.append(kind)
                with torch.no_grad():
                    if kind == "switch":
                        at, places = layer(at)
                        switches.append(places)
                    else:
                        at = layer(at, switches.pop()) if kind == "unpool" else layer(at)

        def forward(self, x):
            switches = []
            for kind, layer in zip(self.kinds, self.layers, strict=True):
                if kind == "switch":
                    x, places = layer(x)
                    switches.append(places)
                else:
                    x = layer(x, switches.pop()) if kind == "unpool" else layer(x)
            return x

    torch.manual_seed(0)
    return Model()


class Torch:
    """Eager, plain or channels_last, or compiled."""

    def __init__(self, name, train, threads, last=False, compiled=False):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        x, t = batch_of(name)
        self.model = torch_model(name).train(train)
        self.x, self.t = torch.from_numpy(x), torch.from_numpy(t)
        if last and self.x.ndim == 4:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, 0.9, weight_decay=1e-4)
        self.loss = torch.nn.MSELoss() if t is x else torch.nn.CrossEntropyLoss()
        if compiled:
            self.model = torch.compile(self.model)
        self.train = train

    def step(self):
        if not self.train:
            with self.torch.inference_mode():
                return self.model(self.x).numpy()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(self.x), self.t)
        loss.backward()
        self.optimizer.step()
        return loss.item()


# -- exported graphs ---------------------------------------------------------------------------------------------------------


def exported(name):
    import io

    import torch

    model = torch_model(name).eval()
    file = io.BytesIO()
    torch.onnx.export(model, (torch.from_numpy(batch_of(name)[0]),), file, input_names=["x"], output_names=["y"], dynamo=False)
    return file.getvalue()


class OnnxRuntime:
    def __init__(self, name, train, threads):
        import onnxruntime as ort

        assert not train, "inference only"
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(exported(name), options, providers=["CPUExecutionProvider"])
        self.x = batch_of(name)[0]

    def step(self):
        return self.session.run(None, {"x": self.x})[0]


class OpenVino:
    def __init__(self, name, train, threads):
        import io

        import openvino as ov

        assert not train, "inference only"
        core = ov.Core()
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        model = core.read_model(io.BytesIO(exported(name)))
        self.request = core.compile_model(model, "CPU", options).create_infer_request()
        self.x = batch_of(name)[0]

    def step(self):
        return self.request.infer({0: self.x})


class Jax:
    """A jitted step, images as NHWC, which XLA's CPU backend likes best."""

    def __init__(self, name, train, threads):
        import jax
        import jax.numpy as jnp

        layers, shape, classes, n = WORKLOADS[name]
        assert all(kind not in ("switch", "unpool", "bottleneck") for kind, *_ in layers), "not written for JAX"
        rng = np.random.default_rng(0)
        parameters = []

        def weight(*dims):
            parameters.append(jnp.asarray(rng.standard_normal(dims) / np.sqrt(np.prod(dims[:-1])), jnp.float32))
            return len(parameters) - 1

        def convolution(c_in, c, k, s, p, bias):
            w, b = weight(k, k, c_in, c), weight(c) if bias else None

            def run(ps, x):
                y = jax.lax.conv_general_dilated(x, ps[w], (s, s), [(p, p), (p, p)], dimension_numbers=("NHWC", "HWIO", "NHWC"))
                return y + ps[b] if bias else y

            return run

        def norm(c):
            scale, shift = weight(c), weight(c)

            def run(ps, x):
                if not train:
                    return x * ps[scale] + ps[shift]
                mean = x.mean((0, 1, 2))
                variance = ((x - mean) ** 2).mean((0, 1, 2))
                return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * ps[scale]) + ps[shift]

            return run

        def residual(c_in, c, s):
            a, b = convolution(c_in, c, 3, s, 1, False), convolution(c, c, 3, 1, 1, False)
            na, nb = norm(c), norm(c)
            skip = (convolution(c_in, c, 1, s, 0, False), norm(c)) if s != 1 or c_in != c else None

            def run(ps, x):
                y = nb(ps, b(ps, jax.nn.relu(na(ps, a(ps, x)))))
                return jax.nn.relu(y + (x if skip is None else skip[1](ps, skip[0](ps, x))))

            return run

        def pooled(k, s, p, kind):
            def run(ps, x):
                pads = ((0, 0), (p, p), (p, p), (0, 0))
                if kind == "max":
                    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, k, k, 1), (1, s, s, 1), pads)
                return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, k, k, 1), (1, s, s, 1), pads) / (k * k)

            return run

        runs, c = [], shape[0]
        size = shape[1] if len(shape) > 1 else 0
        for kind, *args in layers:
            if kind == "conv":
                runs.append(convolution(c, *args))
                c, size = args[0], (size + 2 * args[3] - args[1]) // args[2] + 1
            elif kind == "bn":
                runs.append(norm(c))
            elif kind == "residual":
                runs.append(residual(c, *args))
                c, size = args[0], -(-size // args[1])
            elif kind == "dense":
                w, b = weight(c, args[0]), weight(args[0])
                runs.append(lambda ps, x, w=w, b=b: x @ ps[w] + ps[b])
                c = args[0]
            elif kind in ("max_pool", "avg_pool"):
                k, s, p = (*args, args[0], 0)[:3] if kind == "avg_pool" else args
                runs.append(pooled(k, s, p, kind[:3]))
                size = (size + 2 * p - k) // s + 1
            elif kind == "flatten":
                runs.append(lambda ps, x: x.reshape(x.shape[0], -1))
                c *= size * size
            elif kind == "gap":
                runs.append(lambda ps, x: x.mean((1, 2)))
            else:
                runs.append({"relu": lambda ps, x: jax.nn.relu(x), "tanh": lambda ps, x: jnp.tanh(x)}[kind])

        def forward(ps, x):
            for run in runs:
                x = run(ps, x)
            return x

        def loss(ps, x, t):
            return -jnp.take_along_axis(jax.nn.log_softmax(forward(ps, x)), t[:, None], 1).mean()

        def update(ps, vs, x, t):
            value, gradients = jax.value_and_grad(loss)(ps, x, t)
            vs = [0.9 * v + g + 1e-4 * p for p, v, g in zip(ps, vs, gradients, strict=True)]
            return [p - 0.01 * v for p, v in zip(ps, vs, strict=True)], vs, value

        x, t = batch_of(name)
        self.x = x.transpose(0, 2, 3, 1).copy() if x.ndim == 4 else x
        self.t = t
        self.parameters, self.velocities = parameters, [jnp.zeros_like(p) for p in parameters]
        self.train = train
        self.update = jax.jit(update, donate_argnums=(0, 1))
        self.forward = jax.jit(forward)

    def step(self):
        if not self.train:
            return np.asarray(self.forward(self.parameters, self.x))
        self.parameters, self.velocities, value = self.update(self.parameters, self.velocities, self.x, self.t)
        return float(value)


PEERS = {
    "flownet": Flownet,
    "torch": Torch,
    "torch_last": lambda *a: Torch(*a, last=True),
    "torch_compile": lambda *a: Torch(*a, compiled=True),
    "jax": Jax,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}


# -- processes ---------------------------------------------------------------------------------------------------------------


def worker(peer, name, train, threads):
    """Builds the workload, then answers each `n` on standard input with the seconds that n steps took."""
    out = sys.stdout
    sys.stdout = sys.stderr
    try:
        start = time.perf_counter()
        subject = PEERS[peer](name, train, threads)
        subject.step()
        first = time.perf_counter() - start
        subject.step()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {str(error)[:200]}"}), file=out, flush=True)
        return
    facts = {"first": first, "start_up": getattr(subject, "start_up", 0), "flops": getattr(subject, "flops", 0)}
    facts["peak_bytes"] = getattr(subject, "peak_bytes", 0)
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            subject.step()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), file=out, flush=True)


class Process:
    def __init__(self, peer, name, train, options):
        python = sys.executable if peer == "flownet" else options.python
        command = [python, __file__, "--worker", peer, "--only", name, "--mode", "train" if train else "infer"]
        environment = {**__import__("os").environ, "OMP_NUM_THREADS": str(options.threads)}
        if peer == "jax":
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=true"
        self.process = subprocess.Popen(
            [*command, "--threads", str(options.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=None if options.verbose else subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self.peer = peer
        line = self.process.stdout.readline()
        self.facts = json.loads(line) if line else {"error": "the process ended"}
        self.times = []

    def run(self, n):
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        times = json.loads(self.process.stdout.readline())
        self.times += times
        return times

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(name, train, options):
    """Median milliseconds by peer."""
    peers = [p for p in options.peers.split(",") if not (train and p in ("onnxruntime", "openvino"))]
    processes = [Process(peer, name, train, options) for peer in ["flownet", *peers]]
    for process in processes:
        if "error" in process.facts:
            print(f"    {process.peer} is left out: {process.facts['error']}", flush=True)
    alive = [p for p in processes if "error" not in p.facts]
    for p in alive:
        p.run(2)
        p.times.clear()
    end = time.perf_counter() + options.seconds * len(alive)
    counts = {p.peer: max(1, int(0.1 / max(1e-6, min(p.run(2))))) for p in alive}
    for p in alive:
        p.times.clear()
    rounds = 0
    while time.perf_counter() < end or rounds < 3:
        for p in alive:
            p.run(min(counts[p.peer], 200))
        rounds += 1
    result = {p.peer: {"ms": float(np.median(p.times) * 1e3), "best": float(min(p.times) * 1e3), **p.facts} for p in alive}
    for p in processes:
        p.close()
    return result


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", help="workloads whose name begins with one of these, by commas")
    options.add_argument("--mode", default="both", choices=["both", "train", "infer"])
    options.add_argument("--peers", default="torch,torch_last,torch_compile,jax,onnxruntime,openvino")
    options.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    options.add_argument("--seconds", type=float, default=4, help="time for each framework and workload")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--json", help="write the results here")
    options.add_argument("--verbose", action="store_true")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.worker:
        worker(options.worker, options.only, options.mode == "train", options.threads)
        return
    results, ratios = {}, []
    peers = options.peers.split(",")
    print(f"{'':18}" + "".join(f"{p:>14}" for p in ["flownet", *peers]) + f"{'best/ours':>11}")
    for train in (True, False):
        if options.mode not in ("both", "train" if train else "infer"):
            continue
        for name in WORKLOADS:
            if options.only and not any(name == o or name.startswith(o) for o in options.only.split(",")):
                continue
            if train and name in INFERENCE_ONLY:
                continue
            found = compare(name, train, options)
            results[f"{'train' if train else 'infer'} {name}"] = found
            cells = "".join(f"{found[p]['ms']:14.3f}" if p in found else f"{'-':>14}" for p in ["flownet", *peers])
            theirs = [v["ms"] for p, v in found.items() if p != "flownet"]
            times = min(theirs) / found["flownet"]["ms"] if theirs and "flownet" in found else float("nan")
            ratios.append(times)
            print(f"{'train' if train else 'infer'} {name:12}{cells}{times:11.2f}", flush=True)
    if ratios:
        print(f"geometric mean of best/ours: {np.exp(np.mean(np.log(ratios))):.2f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
