"""`plan`, `profile`, `bench` and `devices` as their users call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from flownet.devices.opencl.platforms import found_devices
from tests.cli.conftest import document

Run = Callable[..., Result]

ON_HOST = """\
flownet: 1
inputs: {x: "float32[N, 3, 6, 6]"}
nodes:
  - conv2d: {channels: 4, kernel: 3, padding: 1}
  - only_in_numpy
  - relu
outputs: [relu_1]
"""
PLUGIN = '''\
from dataclasses import dataclass
from flownet import Op, Sample, hookimpl

@dataclass(frozen=True)
class OnlyInNumpy(Op):
    """y = 2x"""

    name = "only_in_numpy"

    def infer(self, x):
        return x

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [1.0]}, {"y": [2.0]})

@hookimpl
def flownet_ops():
    return [OnlyInNumpy]
'''


@pytest.fixture
def on_host(tmp_path: Path) -> list[str]:
    """Arguments: a graph with an op that a plugin brings without kernels."""
    if not found_devices():
        pytest.skip("no OpenCL device on this machine")
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "plugin.py").write_text(PLUGIN)
    (tmp_path / "host.yaml").write_text(ON_HOST)
    return [str(tmp_path / "host.yaml"), "--device", "opencl", "--plugin-dir", str(tmp_path / "ops")]


@pytest.mark.opencl
def test_what_reorders_an_output_has_the_line_of_the_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conv.yaml").write_text(
        'flownet: 1\ninputs: {x: "float32[N, 16, 6, 6]"}\nnodes:\n  - conv2d: {channels: 16, kernel: 3, padding: 1}\noutputs: [conv2d_1]\n'
    )
    steps = document(run("plan", "conv.yaml", "--device", "opencl", "--json"))["steps"]
    assert steps[-1]["kernel"].startswith("unblock") and steps[-1]["lines"] == ["conv.yaml:4"]


@pytest.mark.parametrize("device", ["cpu", pytest.param("opencl", marks=pytest.mark.opencl)])
def test_a_plan_has_kernels_lines_and_buffers(run: Run, graph: Path, device: str) -> None:
    found = document(run("plan", graph, "--train", "--batch", 8, "--device", device, "--json"))
    assert found["peak_bytes"] >= found["arena_bytes"] > 0
    assert all({"kernel", "nodes", "lines", "device", "flops", "bytes"} <= set(step) for step in found["steps"])
    assert any(line.startswith(str(graph)) for step in found["steps"] for line in step["lines"])
    last = max(step.get("stage", i) for i, step in enumerate(found["steps"]))
    assert found["buffers"] and all(0 <= b["first"] <= b["last"] <= last for b in found["buffers"])
    text = run("plan", graph, "--train", "--batch", 8, "--device", device, "--buffers").stdout
    assert "lives in stages" in text and "peak memory" in text


@pytest.mark.opencl
@pytest.mark.parametrize(("fallback", "said"), [("warn", True), ("cpu", False)])
def test_what_has_no_kernels_runs_in_numpy_and_is_said(run: Run, on_host: list[str], fallback: str, said: bool) -> None:
    result = run("bench", *on_host, "--seconds", "0.01", "--fallback", fallback)
    assert result.exit_code == 0
    assert ("warning[no-kernel]" in result.stderr) == said
    assert ("`only_in_numpy` has no kernels" in result.stderr) == said and ("host.yaml:5" in result.stderr) == said


@pytest.mark.opencl
def test_what_has_no_kernels_can_be_refused(run: Run, on_host: list[str]) -> None:
    result = run("plan", *on_host, "--fallback", "error")
    assert result.exit_code == 1 and "error[no-kernel]" in result.stderr


@pytest.mark.opencl
def test_the_plan_says_where_a_node_runs_and_why(run: Run, on_host: list[str]) -> None:
    result = run("plan", *on_host)
    assert result.exit_code == 0 and not result.stderr
    assert "on the processor: only_in_numpy (`only_in_numpy` has no kernels); nothing is copied for it" in result.stdout


@pytest.mark.opencl
def test_the_plan_says_what_is_copied_to_a_device_with_memory_of_its_own(
    run: Run, on_host: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flownet.devices.opencl.runtime import Runtime

    monkeypatch.setattr(Runtime, "_really_shares_memory", lambda self: False)
    (step,) = [s for s in document(run("plan", *on_host, "--json"))["steps"] if s["device"] == "cpu"]
    assert step["transferred"] == step["bytes"] > 0
    assert "are copied in a run" in run("plan", *on_host).stdout


@pytest.mark.opencl
def test_a_memory_limit_makes_the_plan_smaller(run: Run, tmp_path: Path) -> None:
    layer = "  - conv2d: {channels: 16, kernel: 3, padding: 1, bias: false}\n  - batch_norm\n  - relu\n"
    text = (
        'flownet: 1\ninputs: {image: "float32[N, 1, 8, 8]"}\nnodes:\n'
        + 4 * layer
        + "  - flatten\n  - dense: {name: logits, units: 10}\n"
    )
    text += "train: {data: {dataset: digits}, loss: {cross_entropy: {in: [logits, label]}}, optimizer: {sgd: {learning_rate: 0.1}}, epochs: 1}\n"
    (tmp_path / "deep.yaml").write_text(text)
    arguments = ("plan", "deep.yaml", "--train", "--batch", 8, "--device", "opencl", "--json")
    free, tight, without = (
        document(run(*arguments, *more))
        for more in ((), ("--memory-limit", "0"), ("--memory-limit", "0", "--no-pass", "recompute"))
    )
    assert tight["peak_bytes"] < free["peak_bytes"] == without["peak_bytes"]
    least, most = tight["arena_bytes"], free["arena_bytes"]
    for limit in (least + (most - least) * share // 4 for share in range(4)):  # each can be had, and so is
        assert document(run(*arguments, "--memory-limit", limit))["arena_bytes"] <= limit
    assert run("plan", "deep.yaml", "--memory-limit", "much").exit_code == 2


@pytest.mark.opencl
def test_a_trace_is_one_of_the_trace_event_format(run: Run, graph: Path, tmp_path: Path) -> None:
    """https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: complete events, times in microseconds."""
    result = run(
        "profile", graph, "--train", "--batch", 8, "--device", "opencl", "--repeats", 2, "--trace", "t.json", "--json"
    )
    steps = document(result)["steps"]
    found = json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity
    assert found["displayTimeUnit"] in ("ms", "ns")
    slices = [event for event in found["traceEvents"] if event["ph"] == "X"]
    assert len(slices) == len(steps)
    end = 0.0
    for event in slices:
        assert {"name", "cat", "ph", "ts", "dur", "pid", "tid"} <= set(event)
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int) and isinstance(event["args"], dict)
        assert event["ts"] == pytest.approx(end) and event["dur"] > 0
        end = event["ts"] + event["dur"]
    names = [event for event in found["traceEvents"] if event["ph"] == "M"]
    assert {event["name"] for event in names} == {"process_name", "thread_name"}


@pytest.mark.opencl
def test_tuning_measures_and_is_kept(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "conv.yaml").write_text(
        'flownet: 1\ninputs: {x: "float32[N, 16, 6, 6]"}\nnodes:\n  - conv2d: {channels: 16, kernel: 3, padding: 1}\noutputs: [conv2d_1]\n'
    )
    result = run("bench", "conv.yaml", "--device", "opencl", "--seconds", "0.01", "--tune")
    assert result.exit_code == 0 and "choices are kept in" in result.stdout
    (file,) = (tmp_path / "cache" / "tuning").glob("*.json")
    kept = json.loads(file.read_text())
    assert kept["device"] and kept["driver"] and len(kept["chosen"]) == 1


@pytest.mark.opencl
def test_the_self_test_names_every_family(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import flownet.testing.device_selftest as selftests

    families = {name: build for name, build in selftests.FAMILIES.items() if name in ("elementwise", "matrix product")}
    monkeypatch.setattr(selftests, "FAMILIES", families)
    found = document(run("devices", "--selftest", "--json"))["devices"]
    assert all(device["selftest"] == dict.fromkeys(families, "ok") for device in found if device["id"] != "cpu")


@pytest.mark.opencl
def test_tuning_that_is_interrupted_keeps_what_it_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flownet.devices.opencl.tuning import Tuning

    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "two.yaml").write_text(
        'flownet: 1\ninputs: {x: "float32[N, 16, 6, 6]"}\nnodes:\n  - conv2d: {channels: 16, kernel: 3, padding: 1}\n'
        "  - conv2d: {channels: 32, kernel: 1}\noutputs: [conv2d_2]\n"
    )
    whole, tuned = Tuning.tune, []

    def tune(self, problem, direction):
        if tuned:
            raise KeyboardInterrupt
        tuned.append(problem)
        return whole(self, problem, direction)

    monkeypatch.setattr(Tuning, "tune", tune)
    assert run("bench", "two.yaml", "--device", "opencl", "--seconds", "0.01", "--tune").exit_code
    (file,) = (tmp_path / "cache" / "tuning").glob("*.json")
    assert len(json.loads(file.read_text())["chosen"]) == 1


def test_tuning_of_numpy_is_told_to_have_no_effect(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        'flownet: 1\ninputs: {x: "float32[N, 2]"}\nnodes:\n  - relu\noutputs: [relu_1]\n'
    )
    result = run("bench", "net.yaml", "--device", "cpu", "--seconds", "0.01", "--tune")
    assert result.exit_code == 0 and "warning[no-effect]" in result.stderr
