"""ONNX Runtime as a worker of the benchmark: all optimisations, input and output bound to NumPy arrays once.

Of plain `run`, a binding, and a binding whose output is an array that is there already, the last is the fastest on small
networks (XOR 6.1, 4.0 and 3.5 µs); one thread instead of two is no faster there, and slower from MLP on.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from onnx_model import onnx_file
from protocol import Network, serve


class ONNXRuntime:
    version = f"ONNX Runtime {ort.__version__}"

    def variants(self, mode: str, dimensions: int) -> list[str]:
        return ["all"] if mode == "infer" else []

    def infer(self, network: Network, variant: str):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(onnx_file(network), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        output = np.empty(session.get_outputs()[0].shape, np.float32)
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in (network.x, output)]  # they share its memory
        binding.bind_ortvalue_input(network.input, values[0])
        binding.bind_ortvalue_output(network.output, values[1])

        def step(alive=(network, values)):
            session.run_with_iobinding(binding)
            return output

        return step


if __name__ == "__main__":
    serve(ONNXRuntime)
