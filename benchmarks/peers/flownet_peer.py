"""flownet as a worker of the benchmark: its public API on one device.

A step copies the batch in (`feed`), runs, and fetches the loss, where the peers' batches lie ready in their own tensors. Inference
uses arrays that are filled and read in place (`Network.buffers`), as the peers' do.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from protocol import Network, serve

sys.path.insert(0, str(Path(__file__).parent.parent))
import workloads

import flownet
from flownet.network import compile
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph


class FlowNet:
    version = f"flownet {flownet.__version__}"

    def __init__(self, device: str) -> None:
        self.device = device
        self.networks: dict[str, Any] = {}

    def variants(self, mode: str, dimensions: int) -> list[str]:
        return [self.device]

    def forget(self) -> None:
        self.networks.clear()

    def train(self, network: Network, variant: str):
        row, x = self._row(network), network.x
        network.arrays.clear()  # the session starts its weights itself, from the same seed
        document = workloads.document(row)
        net = compile(document, device=self.device, seed=0)
        graph = training_graph(document.train)
        image, label = (value.name for value in graph.inputs[:2])
        sizes = dict.fromkeys(sorted(graph.symbols()), row.batch)
        program = net.session.plan(graph, sizes).program
        target = network.label.astype(graph.values[label].type.dtype.numpy)
        program.feed(LEARNING_RATE, np.asarray(row.learning_rate, np.float32))
        number = 0

        def step() -> float:
            nonlocal number
            number += 1
            program.feed(image, x)
            program.feed(label, target)
            program.feed(LEARNING_RATE, np.asarray(row.learning_rate, np.float32))
            if STEP in graph.values:
                program.feed(STEP, np.asarray(number, np.float32))
            program.run()
            return float(program.fetch("loss"))

        step.facts = _facts(program)
        return step

    def infer(self, network: Network, variant: str):
        row = self._row(network)
        net = self.networks.setdefault(row.file, None) or compile(workloads.document(row), device=self.device, seed=0)
        self.networks[row.file] = net
        buffers = net.buffers(**dict.fromkeys(sorted(net.inference.symbols()), row.batch))
        buffers.inputs[network.input][...] = network.x
        (output,) = net.graph.outputs

        def step():
            return buffers()[output]

        step.facts = _facts(buffers.program)
        return step

    def peaks(self) -> dict[str, float]:
        """GFLOP/s of multiply-adds and GB/s of reading and writing large arrays, on this device."""
        import pyopencl as cl
        from kernels import Bench

        from flownet.devices.opencl.device import OpenCL

        bench = Bench(0.5)
        queue, size = bench.queue, 1 << 26
        x, y = (cl.Buffer(bench.context, cl.mem_flags.READ_WRITE, size) for _ in range(2))
        body = "int i = get_global_id(0); y[i] = x[i] * 2.0f;"
        source = f"kernel void scale(global const float8* x, global float8* y) {{ {body} }}"
        kernel = cl.Program(bench.context, source).build().scale

        def stream(times: int) -> None:
            for _ in range(times):
                kernel(queue, (size // 32,), (1024,), x, y)
            queue.finish()

        return {"gflops": OpenCL().peak_gflops(), "gbytes": 2 * size / bench.best(stream)[0] / 1e9}

    def memory(self) -> dict[str, int]:
        return {"maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    @staticmethod
    def _row(network: Network) -> workloads.Row:
        return next(row for row in workloads.ROWS if row.name == network.name)


def _facts(program: Any) -> dict[str, Any]:
    steps = [step for step in program.steps if not step.facts.get("setup")]
    on_cpu = sorted({step.kernel for step in steps if step.device == "cpu"})
    return {
        "flops": sum(step.flops for step in steps), "bytes": sum(step.bytes for step in steps), "kernels": len(steps),
        "arena": program.peak_bytes, "numpy": on_cpu,
    }  # fmt: skip


if __name__ == "__main__":
    device = sys.argv[1] if len(sys.argv) > 1 else "opencl"
    serve(lambda: FlowNet(device))
