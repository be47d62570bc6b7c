"""JAX as a worker of the benchmark: one jitted function for a whole step, its old parameters donated, NCHW and NHWC.

Every step here ends in waiting for its result, so that handing it to another thread first, JAX's default on a CPU, only
takes time: without it XOR's training step takes 25 µs instead of 62. A jitted function's call is no slower than that of
a function compiled ahead (`lower().compile()`), and by 0.5 µs faster in XOR's inference.
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from protocol import Network, role, serve

jax.config.update("jax_cpu_enable_async_dispatch", False)


def axes(channels_last: bool) -> str:
    return "NHWC" if channels_last else "NCHW"


def evaluate(network: Network, output: str, p: dict, x: Any, channels_last: bool, training: bool):
    """The value of `output`, and the new running statistics. JAX traces this once; nothing of it runs later."""
    values, statistics, switches = {network.input: x}, {}, {}
    layout, c = axes(channels_last), 3 if channels_last else 1
    high, wide = layout.index("H"), layout.index("W")

    def shaped(v):
        return v.reshape([-1 if axis == c else 1 for axis in range(4)])

    def sides(pair, other):
        found = [other] * 4
        found[high], found[wide] = pair
        return found

    def windows(x, kernel):
        shape = list(x.shape)
        shape[high : high + 1] = [x.shape[high] // kernel[0], kernel[0]]
        at = wide + 1
        shape[at : at + 1] = [x.shape[wide] // kernel[1], kernel[1]]
        return x.reshape(shape)  # …, h, kh, w, kw, …

    for layer in network.until(output):
        a = [values[name] for name in layer["in"] if name not in switches]
        params = {argument: p[name] for argument, name in layer["params"].items()}
        pads = [(s, s) for s in layer.get("padding", ())]
        match layer["op"]:
            case "dense":
                y = a[0] @ params["weight"].T + params["bias"]
            case "conv2d":
                y = lax.conv_general_dilated(
                    a[0], params["weight"], layer["stride"], pads, feature_group_count=layer["groups"],
                    dimension_numbers=(layout, "HWIO" if channels_last else "OIHW", layout),
                )  # fmt: skip
                y = y + shaped(params["bias"]) if "bias" in params else y
            case "conv_transpose2d":  # of stride 1: a convolution by the mirrored filter
                assert layer["stride"] == [1, 1]
                w = params["weight"]  # IOHW, or HWIO
                w = w[::-1, ::-1] if channels_last else w[:, :, ::-1, ::-1]
                pads = [(k - 1 - s, k - 1 - s) for k, s in zip(layer["kernel"], layer["padding"], strict=True)]
                y = lax.conv_general_dilated(
                    a[0], w, (1, 1), pads, dimension_numbers=(layout, "HWIO" if channels_last else "IOHW", layout)
                )
                y = y + shaped(params["bias"]) if "bias" in params else y
            case "batch_norm":
                named = {role(k): v for k, v in params.items()}
                if training:
                    over = tuple(i for i in range(4) if i != c)
                    mean = a[0].mean(over)
                    variance = jnp.maximum((a[0] ** 2).mean(over) - mean**2, 0)
                    for argument, name in layer["params"].items():
                        if role(argument) == "mean":
                            statistics[name] = 0.9 * p[name] + 0.1 * mean
                        elif role(argument) == "variance":
                            statistics[name] = 0.9 * p[name] + 0.1 * variance
                else:
                    mean, variance = named["mean"], named["variance"]
                scale = named["weight"] * lax.rsqrt(variance + layer["epsilon"])
                y = a[0] * shaped(scale) + shaped(named["bias"] - mean * scale)
            case "relu":
                y = jnp.maximum(a[0], 0)
            case "tanh":
                y = jnp.tanh(a[0])
            case "softmax":
                y = jax.nn.softmax(a[0], c if a[0].ndim == 4 else layer["axis"])
            case "flatten":
                y = a[0].transpose(0, 3, 1, 2) if channels_last else a[0]
                y = y.reshape(y.shape[0], -1)
            case "add":
                y = sum(a[1:], a[0])
            case "global_avg_pool":
                y = a[0].mean((high, wide))
            case "shortcut":
                y = lax.slice(a[0], (0,) * 4, a[0].shape, sides(layer["stride"], 1))
                more = layer["shape"][1] - y.shape[c]
                y = jnp.pad(y, [(0, more) if i == c else (0, 0) for i in range(4)]) if more else y
            case "avg_pool":
                y = windows(a[0], layer["kernel"]).mean((high + 1, wide + 2))
            case "max_pool" if network.indices_used(layer):
                w = jnp.moveaxis(windows(a[0], layer["kernel"]), (high + 1, wide + 2), (0, 1))
                w = w.reshape(-1, *w.shape[2:])
                y, switches[layer["out"][1]] = w.max(0), w.argmax(0)
            case "max_pool" if layer["kernel"] == layer["stride"] and layer["padding"] == [0, 0]:
                y = windows(a[0], layer["kernel"]).max((high + 1, wide + 2))
            case "max_pool":
                pads = [(0, 0)] * 4
                pads[high], pads[wide] = ((s, s) for s in layer["padding"])
                y = lax.reduce_window(
                    a[0], -jnp.inf, lax.max, sides(layer["kernel"], 1), sides(layer["stride"], 1), pads
                )
            case "max_unpool":
                chosen = switches[layer["in"][1]]
                kh, kw = layer["kernel"]
                places = jnp.arange(kh * kw).reshape(kh, kw, *[1] * 4)
                y = jnp.where(chosen == places, a[0], 0)
                y = jnp.moveaxis(y, (0, 1), (high + 1, wide + 2))
                shape = list(a[0].shape)
                shape[high], shape[wide] = shape[high] * kh, shape[wide] * kw
                y = y.reshape(shape)
        values[layer["out"][0]] = y
    return values[output], statistics


class JAX:
    version = f"JAX {jax.__version__}"

    def variants(self, mode: str, dimensions: int) -> list[str]:
        return ["nchw", "nhwc"] if dimensions == 4 else ["nchw"]

    def forget(self) -> None:
        jax.clear_caches()

    def train(self, network: Network, variant: str):
        last = variant == "nhwc"
        p, x = self._placed(network, last)
        label = jnp.asarray(network.label, jnp.int32)
        trained = set(network.trainable)
        rate, momentum, decay = network.learning_rate, network.momentum, network.weight_decay

        def loss_of(weights, fixed, x):
            logits, statistics = evaluate(network, network.logits, {**weights, **fixed}, x, last, True)
            if last and logits.ndim == 4:
                chosen = jnp.take_along_axis(jax.nn.log_softmax(logits, -1), label[..., None], -1)
            else:
                chosen = jnp.take_along_axis(jax.nn.log_softmax(logits, 1), label[:, None], 1)
            return -chosen.mean(), statistics

        def update(weights, velocity, fixed, x):
            (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, fixed, x)
            velocity = {n: momentum * velocity[n] + gradients[n] + decay * weights[n] for n in weights}
            return loss, {n: weights[n] - rate * velocity[n] for n in weights}, velocity, {**fixed, **statistics}

        update = jax.jit(update, donate_argnums=(0, 1, 2))
        weights = {n: v for n, v in p.items() if n in trained}
        state = [
            weights,
            {n: jnp.zeros_like(v) for n, v in weights.items()},
            {n: v for n, v in p.items() if n not in trained},
        ]

        def step() -> float:
            loss, *state[:] = update(*state, x)
            return float(np.asarray(loss))  # 6 µs faster than float(loss)

        return step

    def infer(self, network: Network, variant: str):
        last = variant == "nhwc"
        p, x = self._placed(network, last)

        # weights are constants, which XLA may fold and lay out as it likes, except where copies would fill the memory
        if sum(v.nbytes for v in p.values()) < 2**26:
            run = jax.jit(lambda x: evaluate(network, network.output, p, x, last, False)[0])
            call = lambda: run(x)  # noqa: E731
        else:
            run = jax.jit(lambda p, x: evaluate(network, network.output, p, x, last, False)[0])
            call = lambda: run(p, x)  # noqa: E731

        def step():
            return call().block_until_ready()

        step.facts = {"channels_last": last and step().ndim == 4}
        return step

    @staticmethod
    def _placed(network: Network, last: bool):
        convolutions = {
            l["params"]["weight"]: l["op"] for l in network.layers if l["op"] in ("conv2d", "conv_transpose2d")
        }
        order = {"conv2d": (2, 3, 1, 0), "conv_transpose2d": (2, 3, 0, 1)}  # OIHW and IOHW to HWIO
        p = {
            n: jnp.asarray(np.transpose(a, order[convolutions[n]]) if last and n in convolutions else a)
            for n, a in network.arrays.items()
        }
        x = np.transpose(network.x, (0, 2, 3, 1)) if last and network.x.ndim == 4 else network.x
        return p, jnp.asarray(x)


if __name__ == "__main__":
    serve(JAX)
