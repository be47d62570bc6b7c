"""A peer's process, which answers line by line (benchmarks/peers/protocol.py)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["KEEP_MEMORY", "PEERS", "Worker"]

PEERS = {
    "flownet opencl": ("flownet_peer.py", "opencl"),
    "flownet cpu": ("flownet_peer.py", "cpu"),
    "PyTorch": ("torch_peer.py",),
    "PyTorch CUDA": ("torch_peer.py", "cuda"),
    "JAX": ("jax_peer.py",),
    "ONNX Runtime": ("onnxruntime_peer.py",),
    "OpenVINO": ("openvino_peer.py",),
    "tinygrad": ("tinygrad_peer.py",),
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")


# glibc gives freed memory back to the system, and takes it again page by page in the next step, unless it is told not
# to. PyTorch's CNN: training 57 ms instead of 73, inference 17 instead of 18 to 28; flownet allocates once.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


class Worker:
    """A peer's process, asked line by line."""

    def __init__(self, name: str, python: str, folder: Path, log: Any, environment: Mapping[str, str] = {}) -> None:
        self.environment = {**os.environ, **THREADS, **environment, "BENCHMARK_FOLDER": str(folder)}
        self.name, self.failed, self.python, self.log = name, "", python, log
        self.ready: list[tuple[str, str, str]] = []  # row, mode, variant
        self.start()

    def start(self) -> None:
        script, *arguments = PEERS[self.name]
        command = [self.python, str(Path(__file__).parent / "peers" / script), *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=self.environment, process_group=0
        )
        answer = self.ask("version")
        self.version = answer if isinstance(answer, str) else self.name
        if not isinstance(answer, str):
            self.failed = answer["error"]

    def ask(self, *words: Any, limit: float = 600) -> Any:
        """The answer, or {"error"} where there is none within `limit` seconds: the process is ended then."""
        try:
            print(*words, file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], limit)[0]:
                self.kill()
                return {"error": f"no answer to `{words[0]}` within {limit:.0f} s"}
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": f"the process ended with status {self.process.wait()}"}

    def prepare(self, row: str, mode: str, variant: str, limit: float) -> dict[str, Any]:
        """What `prepare` answers, and `ready_s`, the seconds that it took."""
        self.revive(limit)
        start = time.monotonic()
        answer = self.ask("prepare", row, mode, variant, limit=limit)
        if "error" not in answer:
            self.ready.append((row, mode, variant))
            answer["ready_s"] = time.monotonic() - start
        return answer

    def run(self, row: str, mode: str, variant: str, seconds: float, limit: float) -> dict[str, Any]:
        self.revive(limit)
        answer = self.ask("run", row, mode, variant, seconds)
        if "error" in answer:
            self.ready = [known for known in self.ready if known != (row, mode, variant)]
        return answer

    def forget(self) -> None:
        self.ready.clear()
        if self.process.poll() is None:
            self.ask("forget")

    def revive(self, limit: float) -> None:
        """A fresh process where the last one ended, in which everything is ready that was so in the last one.

        A peer that falls on one row, or in one of its modes, may run the next.
        """
        if self.process.poll() is None:
            return
        self.start()
        self.ready = [known for known in self.ready if "error" not in self.ask("prepare", *known, limit=limit)]

    def kill(self) -> None:
        """End the process with those that it started: compilers, and those of tinygrad's search."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Let it end by itself, but not for long: it may be compiling."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
