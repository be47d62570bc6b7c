"""OpenVINO as a worker of the benchmark: latency hint, float32, input and output shared rather than copied.

Threads pinned to processors, which is the default, and not: which is faster differs from row to row. `infer` of a
request is the fastest call (XOR 7.1 µs, `start_async` and `wait` 11 µs).
"""

from __future__ import annotations

import openvino as ov
from onnx_model import onnx_file
from protocol import Network, serve


class OpenVINO:
    version = f"OpenVINO {ov.__version__.partition('-')[0]}"

    def variants(self, mode: str, dimensions: int) -> list[str]:
        return ["pinned", "unpinned"] if mode == "infer" else []

    def infer(self, network: Network, variant: str):
        unpools = any(layer["op"] == "max_unpool" for layer in network.layers)
        model = ov.Core().read_model(onnx_file(network, scatter=unpools))
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
        settings["ENABLE_CPU_PINNING"] = variant == "pinned"
        request = ov.compile_model(model, "CPU", settings).create_infer_request()
        tensors = ov.Tensor(network.x, shared_memory=True), request.get_output_tensor()
        request.set_input_tensor(tensors[0])
        output = tensors[1].data

        def step(alive=(network, tensors)):  # OpenVINO does not keep the array that it shares
            request.infer(share_inputs=True, share_outputs=True)
            return output

        return step


if __name__ == "__main__":
    serve(OpenVINO)
