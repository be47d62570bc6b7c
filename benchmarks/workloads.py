"""The rows of the benchmark, and each of them in plain words for the peers.

Every peer gets the same network by construction: flownet loads the graph file, and what it understood is written down
as a list of layers (`network.json`) with the starting weights and one batch (`tensors.npz`). A peer builds its own
modules from that list; nobody writes a network by hand a second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  measure the flownet beside this folder
import numpy as np

from flownet.executor.session import starting_array
from flownet.graph import Graph, Kind, Node
from flownet.language import Document, load
from flownet.ops.windows import padding_of, pair
from flownet.passes.order_nodes import order_nodes

__all__ = ["ROWS", "Row", "document", "write"]

HERE = Path(__file__).parent
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4


@dataclass(frozen=True)
class Row:
    """One line of the table.

    file:          below benchmarks/graphs, or else below graphs/
    shape:         of one batch
    modes:         "train", "infer", or both
    learning_rate: small where a first step of the file's own would leave the range in which two roundings agree
    sizes:         overrides for the file
    """

    name: str
    file: str
    shape: tuple[int, ...]
    modes: tuple[str, ...] = ("train", "infer")
    learning_rate: float = 0.01
    sizes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.lower().replace(" ", "-")

    @property
    def batch(self) -> int:
        return self.shape[0]


ROWS = (
    Row("XOR", "benchmarks/graphs/xor.yaml", (4, 2), learning_rate=0.1),
    Row("MLP", "benchmarks/graphs/mlp.yaml", (64, 784)),
    Row("LeNet-5", "benchmarks/graphs/lenet5.yaml", (64, 1, 28, 28)),
    Row("CNN", "benchmarks/graphs/cnn.yaml", (64, 3, 32, 32), learning_rate=0.001),
    Row("ResNet-20", "graphs/resnet20.yaml", (64, 3, 32, 32)),
    Row("ResNet-110", "graphs/resnet110.yaml", (32, 3, 32, 32), learning_rate=1e-4),
    Row("Deconv", "benchmarks/graphs/deconv.yaml", (8, 3, 96, 96)),
    Row("ResNet-50 b1", "graphs/resnet50.yaml", (1, 3, 224, 224), modes=("infer",)),
    Row("ResNet-50 b8", "graphs/resnet50.yaml", (8, 3, 224, 224), modes=("infer",)),
    Row("VGG-19 b1", "graphs/vgg19.yaml", (1, 3, 224, 224), modes=("infer",)),
    Row("VGG-19 b8", "graphs/vgg19.yaml", (8, 3, 224, 224), modes=("infer",)),
)


def document(row: Row) -> Document:
    """The row's graph file, with the optimiser that every row has."""
    overrides = list(row.sizes)
    if "train" in row.modes:
        overrides += ["train.metrics=[]", f"train.optimizer.sgd.learning_rate={row.learning_rate}"]
        overrides += [f"train.optimizer.sgd.momentum={MOMENTUM}", f"train.optimizer.sgd.weight_decay={WEIGHT_DECAY}"]
    return load(HERE.parent / row.file, overrides=overrides)


def write(row: Row, folder: Path) -> Path:
    """Write what the peers need into `folder`/<row>; gives that folder.

    The file's logits are the network's last value before softmax; training ends there in a mean cross entropy.
    """
    folder = folder / row.key
    folder.mkdir(parents=True, exist_ok=True)
    known = document(row)
    graph = known.graph
    symbols = sorted(graph.symbols())
    graph = _without_projections(graph.bind(dict.fromkeys(symbols, row.batch)))
    random = np.random.default_rng(0)
    tensors = {v.name: starting_array(v, seed=0) for v in (*graph.parameters, *graph.states) if v.name != "rng"}
    (image,) = graph.inputs
    tensors["input"] = random.standard_normal(row.shape).astype(np.float32)
    layers = [_layer(graph, node) for node in order_nodes(graph) if node.op.name != "dropout"]
    skipped = {
        n.outputs[0]: n.inputs["x"] for n in graph.nodes.values() if n.op.name == "dropout"
    }  # nothing in inference
    for layer in layers:
        layer["in"] = [skipped.get(name, name) for name in layer["in"]]
    (output,) = graph.outputs.values()
    logits = graph.nodes[graph.values[output].producer or ""].inputs["x"]
    shape = tuple(int(d) for d in graph.values[logits].type.shape)  # type: ignore[arg-type]
    tensors["label"] = random.integers(0, shape[1], (shape[0], *shape[2:])).astype(np.int64)
    network = {
        "name": row.name, "input": image.name, "output": output, "logits": logits, "layers": layers,
        "trainable": [v.name for v in graph.parameters if v.trainable],
        "learning_rate": row.learning_rate, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY,
    }  # fmt: skip
    (folder / "network.json").write_text(json.dumps(network, indent=1))
    np.savez(folder / "tensors.npz", **{name.replace("/", "|"): array for name, array in tensors.items()})
    return folder


def _without_projections(graph: Graph) -> Graph:
    """Shortcuts that are built of a convolution and a normalisation, as these; all other layers whole."""
    graph = graph.copy()
    whole = {n.name for n in graph.nodes.values() if not (n.op.name == "shortcut" and _parameters(graph, n))}
    if len(whole) == len(graph.nodes):
        return graph
    from flownet.graph import Builder

    replaced = {}
    for node in [n for n in graph.nodes.values() if n.name not in whole]:
        arguments = [graph.values[node.inputs[a]] if a in node.inputs else None for a in node.op.signature_inputs]
        graph.remove_node(node.name)
        replaced[node.outputs[0]] = node.op.expand(Builder(graph, node.name, node.origin, node.device), *arguments).name
    graph.replace_values(replaced)
    return graph


def _parameters(graph: Graph, node: Node) -> dict[str, str]:
    kinds = (Kind.PARAMETER, Kind.STATE)
    return {a: name for a, name in node.inputs.items() if graph.values[name].kind in kinds}


def _layer(graph: Graph, node: Node) -> dict[str, Any]:
    """One layer: `op`, `in`, `out`, `params` by the op's argument, and its attributes as plain numbers."""
    op, params = node.op, _parameters(graph, node)
    inputs = [name for a, name in node.inputs.items() if a not in params]
    layer = {"op": op.name, "in": inputs, "out": list(node.outputs), "params": params}
    layer["shape"] = [int(d) for d in graph.values[node.outputs[0]].type.shape]  # type: ignore[arg-type]
    if op.name in ("conv2d", "conv_transpose2d", "max_pool", "avg_pool", "max_unpool"):
        layer |= _window(graph, op, inputs[0])
    for name in ("groups", "axis", "epsilon", "channels"):
        if hasattr(op, name):
            layer[name] = getattr(op, name)
    if op.name == "shortcut":
        layer["stride"] = pair(op.stride)
    return layer


def _window(graph: Graph, op: Any, x: str) -> Mapping[str, Any]:
    kernel = pair(op.kernel)
    stride = pair(op.stride) if op.stride is not None else kernel
    size = [int(d) for d in graph.values[x].type.shape[2:]]  # type: ignore[arg-type]
    pads = [
        padding_of(op.padding if isinstance(op.padding, str) else pair(op.padding), size[i], kernel[i], stride[i], 1, i)
        for i in (0, 1)
    ]
    assert all(before == after for before, after in pads), "the peers' layers pad evenly"
    return {"kernel": kernel, "stride": stride, "padding": [before for before, _ in pads]}
