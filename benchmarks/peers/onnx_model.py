"""A row of the benchmark as an ONNX model, for the inference engines among the peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from protocol import Network, role

__all__ = ["onnx_file"]


def onnx_file(network: Network, *, scatter: bool = False) -> Path:
    """The path of the model, written once; weights lie beside it, since VGG-19's pass what protobuf can hold.

    scatter: unpooling written as ScatterElements, for engines without MaxUnpool
    """
    path = network.folder / ("scatter.onnx" if scatter else "model.onnx")
    if path.exists():
        return path
    nodes, weights = [], {}

    def weight(name: str, array: np.ndarray) -> str:
        weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    shapes = {network.input: list(network.x.shape)} | {l["out"][0]: l["shape"] for l in network.layers}
    for layer in network.until(network.output):
        x, y, op = layer["in"][0], layer["out"][0], layer["op"]
        p = {role(a) if op == "batch_norm" else a: weight(n, network.arrays[n]) for a, n in layer["params"].items()}
        window = {}
        if "kernel" in layer:
            window = {
                "kernel_shape": layer["kernel"],
                "strides": layer["stride"],
                "pads": [*layer["padding"], *layer["padding"]],
            }

        def add(kind: str, *inputs: str, outputs: tuple[str, ...] = (y,), **attributes) -> None:
            nodes.append(helper.make_node(kind, list(inputs), list(outputs), **attributes))

        match op:
            case "dense":
                add("Gemm", x, p["weight"], p["bias"], transB=1)
            case "conv2d":
                add("Conv", x, *p.values(), **window, group=layer["groups"])
            case "conv_transpose2d":
                add("ConvTranspose", x, *p.values(), **window, group=layer["groups"])
            case "batch_norm":
                add(
                    "BatchNormalization",
                    x,
                    *(p[r] for r in ("weight", "bias", "mean", "variance")),
                    epsilon=layer["epsilon"],
                )
            case "max_pool":
                used = network.indices_used(layer)
                add("MaxPool", x, outputs=tuple(layer["out"][: 2 if used else 1]), **window)
            case "avg_pool":
                add("AveragePool", x, **window, count_include_pad=1)
            case "max_unpool" if scatter:
                flat = int(np.prod(layer["shape"]))
                zeros = weight(f"{y}/zeros", np.zeros(flat, np.float32))
                line = weight(f"{y}/line", np.array([-1], np.int64))
                shape = weight(f"{y}/shape", np.array(layer["shape"], np.int64))
                add("Reshape", x, line, outputs=(f"{y}/x",))
                add("Reshape", layer["in"][1], line, outputs=(f"{y}/i",))
                add("ScatterElements", zeros, f"{y}/i", f"{y}/x", outputs=(f"{y}/flat",))
                add("Reshape", f"{y}/flat", shape)
            case "max_unpool":
                shape = weight(f"{y}/shape", np.array(layer["shape"], np.int64))
                add("MaxUnpool", x, layer["in"][1], shape, **window)
            case "shortcut":
                steps = weight(f"{y}/steps", np.array(layer["stride"], np.int64))
                starts = weight(f"{y}/starts", np.array([0, 0], np.int64))
                ends = weight(f"{y}/ends", np.array([1 << 30] * 2, np.int64))
                over = weight(f"{y}/axes", np.array([2, 3], np.int64))
                add("Slice", x, starts, ends, over, steps, outputs=(f"{y}/sliced",))
                more = layer["shape"][1] - shapes[x][1]
                pads = weight(f"{y}/pads", np.array([0, 0, 0, 0, 0, more, 0, 0], np.int64))
                add("Pad", f"{y}/sliced", pads)
            case "global_avg_pool":
                add("GlobalAveragePool", x, outputs=(f"{y}/image",))
                add("Flatten", f"{y}/image")
            case "softmax":
                add("Softmax", x, axis=layer["axis"])
            case "add":
                add("Add", *layer["in"])
            case _:
                add({"relu": "Relu", "tanh": "Tanh", "flatten": "Flatten"}[op], x)
    graph = helper.make_graph(
        nodes, "row",
        [helper.make_tensor_value_info(network.input, TensorProto.FLOAT, network.x.shape)],
        [helper.make_tensor_value_info(network.output, TensorProto.FLOAT, shapes[network.output])],
        list(weights.values()),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=True, location=path.stem + ".weights")
    return path
