"""PyTorch as a worker of the benchmark, on the CPU or (argument `cuda`) on a GPU: eager and torch.compile, as it is and with
`mode="max-autotune"`, each in both layouts. A GPU computes in float32 like everybody, without TF32, and the outputs of
inference are copied to the host.

Inference folds batch norm into the convolutions (PyTorch's own function for it) and runs in inference mode. The update
is torch.optim.SGD with `fused=True`, the fastest on a CPU.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from protocol import Network, role, serve
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

torch.set_num_threads(2)
torch._dynamo.config.automatic_dynamic_shapes = False  # each row is compiled for its own shapes
torch._dynamo.config.recompile_limit = 64


class Shortcut(nn.Module):
    """Sub-sampling, and zeros behind the channels for the new ones (option A)."""

    def __init__(self, stride: list[int], channels: int) -> None:
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, x):
        if self.stride != [1, 1]:
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
        more = self.channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, 0, more)) if more else x


class GlobalAvgPool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Model(nn.Module):
    """The layers as modules, and `forward` written out as one would by hand: a line for each."""

    def __init__(self, network: Network, output: str) -> None:
        super().__init__()
        names, lines = {network.input: "x"}, []
        for index, layer in enumerate(network.until(output)):
            makes = [f"v{index}"]
            if layer["op"] == "max_pool" and network.indices_used(layer):
                makes.append(f"i{index}")
            arguments = ", ".join(names[value] for value in layer["in"])
            if layer["op"] == "add":
                lines.append(f"v{index} = {' + '.join(names[value] for value in layer['in'])}")
            else:
                setattr(self, f"layer{index}", self.module(layer, len(makes) > 1))
                lines.append(f"{', '.join(makes)} = self.layer{index}({arguments})")
            names |= dict(zip(layer["out"], makes, strict=False))
            self.load(network, layer, index)
        scope: dict[str, Any] = {}
        exec("def forward(self, x):\n    " + "\n    ".join([*lines, f"return {names[output]}"]), scope)
        self._forward = scope["forward"]

    def forward(self, x):
        return self._forward(self, x)

    @staticmethod
    def module(layer: dict[str, Any], indices: bool) -> nn.Module:
        window = {name: tuple(layer[name]) for name in ("kernel", "stride", "padding") if "kernel" in layer}
        if window:
            window["kernel_size"] = window.pop("kernel")
        bias = "bias" in layer["params"]
        match layer["op"]:
            case "dense":
                return nn.LazyLinear(layer["shape"][-1], bias=bias)
            case "conv2d":
                return nn.LazyConv2d(layer["channels"], **window, groups=layer["groups"], bias=bias)
            case "conv_transpose2d":
                return nn.LazyConvTranspose2d(layer["channels"], **window, groups=layer["groups"], bias=bias)
            case "batch_norm":
                return nn.BatchNorm2d(layer["shape"][1], eps=layer["epsilon"])
            case "max_pool":
                return nn.MaxPool2d(**window, return_indices=indices)
            case "avg_pool":
                return nn.AvgPool2d(**window)
            case "max_unpool":
                return nn.MaxUnpool2d(**window)
            case "softmax":
                return nn.Softmax(layer["axis"])
            case "shortcut":
                return Shortcut(layer["stride"], layer["channels"] or layer["shape"][1])
        return {"relu": nn.ReLU, "tanh": nn.Tanh, "flatten": nn.Flatten, "global_avg_pool": GlobalAvgPool}[
            layer["op"]
        ]()

    def load(self, network: Network, layer: dict[str, Any], index: int) -> None:
        if not layer["params"]:
            return
        module = getattr(self, f"layer{index}")
        torch_names = {"mean": "running_mean", "variance": "running_var"}
        for argument, name in layer["params"].items():
            key = role(argument) if layer["op"] == "batch_norm" else argument
            array = torch.from_numpy(network.arrays[name].copy())
            if key in torch_names:
                setattr(module, torch_names[key], array)
            else:
                setattr(module, key, nn.Parameter(array))
        if isinstance(module, nn.modules.lazy.LazyModuleMixin):
            module._infer_parameters = lambda *_: None
            for hook in list(module._forward_pre_hooks):
                del module._forward_pre_hooks[hook]
            plain = {"LazyLinear": nn.Linear, "LazyConv2d": nn.Conv2d, "LazyConvTranspose2d": nn.ConvTranspose2d}
            weight, kind = module.weight, type(module).__name__
            if kind == "LazyLinear":
                module.in_features = weight.shape[1]
            else:
                module.in_channels = weight.shape[0 if "Transpose" in kind else 1] * (
                    1 if "Transpose" in kind else module.groups
                )
            module.__class__ = plain[kind]


def without_batch_norm(network: Network) -> Network:
    """Every normalisation behind a convolution folded into its weights."""
    made = {layer["out"][0]: layer for layer in network.layers}
    renamed: dict[str, str] = {}
    layers = []
    for layer in network.layers:
        layer["in"] = [renamed.get(name, name) for name in layer["in"]]
        conv = made.get(layer["in"][0]) if layer["in"] else None
        if layer["op"] == "batch_norm" and conv and conv["op"] == "conv2d":
            norm = {role(a): torch.from_numpy(network.arrays[n]) for a, n in layer["params"].items()}
            tensors = [
                torch.from_numpy(network.arrays[conv["params"][a]]) if a in conv["params"] else None
                for a in ("weight", "bias")
            ]
            weight, bias = fuse_conv_bn_weights(
                *tensors, norm["mean"], norm["variance"], layer["epsilon"], norm["weight"], norm["bias"]
            )
            key = conv["out"][0]
            conv["params"] = {"weight": f"{key}.folded_weight", "bias": f"{key}.folded_bias"}
            network.arrays |= {
                f"{key}.folded_weight": weight.detach().numpy(),
                f"{key}.folded_bias": bias.detach().numpy(),
            }
            renamed[layer["out"][0]] = key
        else:
            layers.append(layer)
    network.layers = layers
    return network


def compiled(function: Any, variant: str, frozen: bool = False) -> Any:
    """What torch.compile makes of it in a variant that asks for it; `frozen`: weights are constants, packed once."""
    way = variant.partition("+")[0]
    if way not in ("compile", "max-autotune"):
        return function
    options = torch._inductor.list_mode_options("max-autotune") if way == "max-autotune" else {}
    return torch.compile(function, fullgraph=True, options={**options, "freezing": frozen})


class PyTorch:
    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.version = f"PyTorch {torch.__version__.partition('+')[0]}" + (" CUDA" if device == "cuda" else "")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def variants(self, mode: str, dimensions: int) -> list[str]:
        """The slow ones first: who runs out of time with them loses nothing that was ready before."""
        names = [
            "max-autotune+channels_last",
            "max-autotune",
            "compile+channels_last",
            "compile",
            "channels_last",
            "eager",
        ]
        return [name for name in names if dimensions == 4 or "channels_last" not in name]

    def forget(self) -> None:
        torch._dynamo.reset()

    def train(self, network: Network, variant: str):
        model, x = self._placed(Model(network, network.logits), network, variant)
        label = torch.from_numpy(network.label).to(self.device)
        settings = {"momentum": network.momentum, "weight_decay": network.weight_decay}
        optimizer = torch.optim.SGD(model.parameters(), network.learning_rate, **settings, fused=True)

        def loss_of(x, label):
            return F.cross_entropy(model(x), label)

        loss_of = compiled(loss_of, variant)

        def step() -> float:
            optimizer.zero_grad()
            loss = loss_of(x, label)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    def infer(self, network: Network, variant: str):
        network = without_batch_norm(network)
        model, x = self._placed(Model(network, network.output).eval(), network, variant)
        run = compiled(model, variant, frozen=True)

        def step():
            return run(x).cpu()  # nothing to do on a CPU

        # without gradients' bookkeeping; frozen weights are no tensors of the inference mode
        step.within = torch.inference_mode if run is model else torch.no_grad
        return step

    def _placed(self, model: nn.Module, network: Network, variant: str):
        model, x = model.to(self.device), torch.from_numpy(network.x).to(self.device)
        if variant.endswith("channels_last") and x.dim() == 4:
            return model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        return model, x


if __name__ == "__main__":
    serve(lambda: PyTorch(*sys.argv[1:]))
