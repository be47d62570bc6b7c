"""ONNX Runtime as a worker of the benchmark: all optimisations, input and output bound to their memory once."""

from __future__ import annotations

import onnxruntime as ort
from onnx_model import onnx_file
from protocol import Network, serve


class ONNXRuntime:
    version = f"ONNX Runtime {ort.__version__}"

    def variants(self, mode: str) -> list[str]:
        return ["all"] if mode == "infer" else []

    def infer(self, network: Network, variant: str):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(onnx_file(network), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_ortvalue_input(network.input, ort.OrtValue.ortvalue_from_numpy(network.x))
        binding.bind_output(network.output)
        session.run_with_iobinding(binding)
        output = binding.get_outputs()[0]
        binding.bind_ortvalue_output(network.output, output)

        def step(alive=network):  # the value may share the array's memory
            session.run_with_iobinding(binding)
            return output.numpy()

        return step


if __name__ == "__main__":
    serve(ONNXRuntime)
