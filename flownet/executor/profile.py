"""Where the time of a program goes: each step run alone, in a table or as a trace that Perfetto and Chrome open."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flownet.devices.device import Program, Step
from flownet.executor.session import Plan
from flownet.graph import Graph

__all__ = ["Measured", "measure", "plan_document", "source_lines", "trace"]


_SHORTEST = 1e-6  # seconds: the launch that is taken off a step's time varies by as much


@dataclass(frozen=True)
class Measured:
    """A step and the least seconds that it took by itself; rates are NaN where it took too short to tell."""

    step: Step
    seconds: float

    @property
    def gflops(self) -> float:
        return self._rate(self.step.flops)

    @property
    def gbytes(self) -> float:
        return self._rate(self.step.bytes)

    def _rate(self, amount: int) -> float:
        return amount / self.seconds / 1e9 if self.seconds >= _SHORTEST else math.nan


def measure(plan: Plan, repeats: int = 10) -> list[Measured]:
    """Each step's time. A device's own `profile` is asked, if its program has one; else steps are called one by one.

    Steps that share a stage on the device run apart here, so that the sum may be more than a whole run takes.
    """
    program: Any = plan.program
    if hasattr(program, "profile"):
        seconds = program.profile(repeats)
    else:
        seconds = [float("inf")] * len(program.steps)
        for _ in range(repeats):
            for i, step in enumerate(program.steps):
                start = time.perf_counter()
                step.run()
                seconds[i] = min(seconds[i], time.perf_counter() - start)
    return [Measured(step, s) for step, s in zip(program.steps, seconds, strict=True)]


def source_lines(graph: Graph, step: Step) -> tuple[str, ...]:
    """`file:line` of every place that a step's nodes come from, fused ones included."""
    spans = [span for name in step.nodes if name in graph.nodes for span in graph.nodes[name].origin.spans]
    return tuple(dict.fromkeys(f"{span.file.name}:{span.line}" for span in spans))


def trace(measured: Sequence[Measured], graph: Graph) -> dict[str, Any]:
    """The steps one behind the other in the trace-event format: https://ui.perfetto.dev opens it."""
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": f"flownet: {graph.name}"}},
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "steps, each measured alone"}},
    ]
    now = 0.0
    for m in measured:
        facts: dict[str, Any] = {"nodes": list(m.step.nodes), "lines": list(source_lines(graph, m.step))}
        rates = {"GFLOP/s": m.gflops, "GB/s": m.gbytes}
        facts |= {name: rate for name, rate in rates.items() if math.isfinite(rate)}  # NaN is no JSON
        event = {
            "name": m.step.kernel,
            "cat": m.step.device,
            "ph": "X",
            "ts": now,
            "dur": m.seconds * 1e6,
            "pid": 1,
            "tid": 1,
        }
        events.append({**event, "args": {**facts, **{k: str(v) for k, v in m.step.facts.items()}}})
        now += m.seconds * 1e6
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as `flownet plan --json` prints it."""
    program: Program = plan.program
    schedule = getattr(program, "schedule", None)
    memory = schedule if schedule is not None else getattr(program, "memory", None)
    buffers = []
    if memory is not None:
        buffers = [
            {
                "name": life.name,
                "bytes": life.nbytes,
                "offset": int(memory.offsets[life.name]),
                "first": life.first,
                "last": life.last,
            }
            for life in memory.lifetimes.values()
        ]
    steps = [
        {
            "kernel": step.kernel, "nodes": list(step.nodes), "lines": list(source_lines(plan.graph, step)), "device": step.device,
            "flops": step.flops, "bytes": step.bytes, **{k: v if isinstance(v, (int, float, bool)) else str(v) for k, v in step.facts.items()},
        }
        for step in program.steps
    ]  # fmt: skip
    arena = getattr(memory, "arena_bytes", 0) if memory is not None else 0
    return {"peak_bytes": program.peak_bytes, "arena_bytes": arena, "steps": steps, "buffers": buffers}
