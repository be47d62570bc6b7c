"""train, eval and report: files, figures, streams, Ctrl-C and going on, in this process and in real ones."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flownet.training.checkpoint import read_tensors
from tests.cli.conftest import GRAPHS, document


def weights_hash(path: Path) -> str:
    tensors = read_tensors(path).tensors
    return hashlib.sha256(
        b"".join(name.encode() + array.tobytes() for name, array in sorted(tensors.items()))
    ).hexdigest()


def test_train_says_device_data_epochs_figures_and_files(run, graph: Path, tmp_path: Path) -> None:
    result = run("train", graph, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert "device: NumPy" in text
    assert "96 examples, 30 test, 24 validation" in text
    for line in (
        "epoch 1/3  loss",
        "epoch 3/3  loss",
        "validation",
        "test ",
        "weights.safetensors",
        "learning_curve.png",
    ):
        assert line in text
    assert (tmp_path / "runs" / "small" / "weights.safetensors").is_file()


def test_train_json_is_one_document(run, graph: Path) -> None:
    result = run("train", graph, "--device", "cpu", "--json", "--out", "here")
    found = document(result)
    assert found["run"] == "here"
    assert found["weights"] == "here/weights.safetensors"
    assert 0 <= found["metrics"]["test"]["accuracy"] <= 1
    assert found["epochs"] == 3
    assert found["stopped"] is None
    assert "epoch 1/3" in result.stderr  # what is meant for people


def test_a_finished_run_is_not_overwritten(run, graph: Path, tmp_path: Path) -> None:
    assert run("train", graph, "--device", "cpu", "--out", "here").exit_code == 0
    before = (tmp_path / "here" / "weights.safetensors").read_bytes()
    again = run("train", graph, "--device", "cpu", "--out", "here", "--seed", "7")
    assert again.exit_code == 1
    assert "error[run-exists]: `here` holds a run already" in again.stderr
    assert (tmp_path / "here" / "weights.safetensors").read_bytes() == before


def test_quiet_says_the_result_alone(run, graph: Path) -> None:
    result = run("train", graph, "--device", "cpu", "--quiet")
    assert result.exit_code == 0
    assert "epoch" not in result.stdout
    assert "test" in result.stdout


def test_a_new_run_gets_a_new_folder(run, graph: Path, tmp_path: Path) -> None:
    for _ in range(2):
        run("train", graph, "--device", "cpu", "--epochs", 1)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["small", "small-2"]


def test_epochs_set_and_seed(run, graph: Path) -> None:
    def train(*arguments: object) -> dict:
        return document(run("train", graph, "--device", "cpu", "--json", *arguments))

    assert train("--epochs", 1)["epochs"] == 1
    assert train("--set", "train.epochs=2")["epochs"] == 2
    one, again, other = (train("--epochs", 1, "--seed", seed)["weights"] for seed in (5, 5, 6))
    assert weights_hash(Path(one)) == weights_hash(Path(again)) != weights_hash(Path(other))


def test_training_starts_from_weights(run, graph: Path) -> None:
    first = document(run("train", graph, "--device", "cpu", "--json"))
    second = document(run("train", graph, "--device", "cpu", "--json", "--epochs", 1, "--weights", first["weights"]))
    log = [json.loads(line) for line in Path(second["files"]["log"]).read_text().splitlines()]
    cold = [json.loads(line) for line in Path(first["files"]["log"]).read_text().splitlines()]
    assert log[0]["loss"] < 0.7 * cold[0]["loss"]


def test_no_pass_gives_the_same_weights(run, graph: Path) -> None:
    plain = document(run("train", graph, "--device", "cpu", "--json"))["weights"]
    without = document(run("train", graph, "--device", "cpu", "--json", "--no-pass", "merge_common_nodes"))["weights"]
    assert weights_hash(Path(plain)) == weights_hash(Path(without))
    result = run("train", graph, "--device", "cpu", "--no-pass", "merge_comon_nodes")
    assert result.exit_code == 1
    assert "did you mean `merge_common_nodes`?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--device", "gpu9"], 1, "there is no device `gpu9`"),
        (["--set", "train.batch=5000", "--device", "cpu"], 1, "batch"),
        (["--weights", "nowhere", "--device", "cpu"], 1, "no weights file"),
        (["--resume", "--device", "cpu"], 1, "there is no run of `small`"),
        (["--resume", "nowhere", "--device", "cpu"], 1, "there is no checkpoint in `nowhere`"),
        (["--epochs", "0"], 2, "not in the range"),
    ],
)
def test_mistakes(run, graph: Path, arguments: list[str], code: int, text: str) -> None:
    result = run("train", graph, *arguments)
    assert result.exit_code == code, result.output
    assert text in result.stderr


def test_a_missing_dataset_is_told_once_with_where_to_get_it(run, tmp_path: Path) -> None:
    from tests.cli.conftest import GRAPHS

    result = run("train", GRAPHS / "lenet5.yaml", "--device", "cpu")
    assert result.exit_code == 1
    assert result.stderr.count("data-missing") == 1
    assert "FLOWNET_DATA" in result.stderr


def test_a_loss_that_is_not_finite_names_the_node_and_its_line(run, graph: Path) -> None:
    result = run("train", graph, "--device", "cpu", "--set", "train.optimizer.sgd.learning_rate=3e38")
    assert result.exit_code == 1
    assert "error[not-finite]" in result.stderr
    assert "-->" in result.stderr


def test_the_advice_after_a_loss_that_is_not_finite_is_not_refused(run) -> None:
    line = GRAPHS / "linear_regression.yaml"  # without standardised data it diverges in a few steps
    diverging = ["--checkpoint-every", "1", "--set", "train.data.standardise=none"]
    failed = run("train", line, "--device", "cpu", "--out", "here", *diverging)
    assert "error[not-finite]" in failed.stderr
    assert "`flownet train --resume here --set train.optimizer.sgd.learning_rate=0.05`" in failed.stderr
    again = run("train", "--resume", "here", "--device", "cpu", "--set", "train.optimizer.sgd.learning_rate=0.05")
    assert "`train.optimizer.sgd.learning_rate` was `0.5`, is `0.05`" in again.stderr
    assert "other-graph" not in again.stderr


def test_epochs_are_added_to_a_run_that_is_done(run, graph: Path) -> None:
    assert run("train", graph, "--device", "cpu", "--out", "here").exit_code == 0
    more = run("train", "--resume", "here", "--epochs", "5", "--device", "cpu", "--json")
    assert document(more)["epochs"] == 5
    assert "warning[resumed-otherwise]" in more.stderr
    other = run("train", "--resume", "here", "--seed", "5", "--device", "cpu")
    assert other.exit_code == 1
    assert "`seed` was 0, is 5" in other.stderr


def test_eval_gives_the_figures_that_training_gave(run, graph: Path) -> None:
    trained = document(run("train", graph, "--device", "cpu", "--json"))
    found = document(run("eval", graph, "--weights", trained["weights"], "--device", "cpu", "--json"))
    assert found["metrics"] == {"test": trained["metrics"]["test"]}
    both = document(
        run(
            "eval",
            graph,
            "--weights",
            trained["weights"],
            "--device",
            "cpu",
            "--json",
            "--split",
            "test",
            "--split",
            "validation",
        )
    )
    assert both["metrics"] == trained["metrics"]
    assert "accuracy" in run("eval", graph, "--weights", trained["weights"], "--device", "cpu").stdout


def test_eval_of_weights_of_another_graph_says_what_differs(run, graph: Path) -> None:
    trained = document(run("train", graph, "--device", "cpu", "--json", "--epochs", 1))
    result = run("eval", graph, "--weights", trained["weights"], "--device", "cpu", "--set", "nodes.dense_1.units=5")
    assert result.exit_code == 1
    assert "`dense_1.weight` is [16, 4] in the weights, float32[5, 4] in the graph" in result.stderr


def test_report_is_a_page_in_itself(run, graph: Path, tmp_path: Path) -> None:
    trained = document(run("train", graph, "--device", "cpu", "--json"))
    result = run("report", trained["run"])
    assert result.exit_code == 0, result.stderr
    page = Path(trained["run"], "report.html").read_text()
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "<svg " in page
    assert "http://www.w3.org/2000/svg" in page
    assert page.count("http") == page.count("http://www.w3.org")  # nothing is fetched from elsewhere
    assert f"{trained['metrics']['test']['accuracy']:.4f}" in page
    run("report", trained["run"], "-o", tmp_path / "r.md")
    assert "| epoch | loss | accuracy |" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r_curve.png").is_file()


def test_report_of_what_is_no_run(run, tmp_path: Path) -> None:
    result = run("report", tmp_path)
    assert result.exit_code == 1
    assert "is no run's folder" in result.stderr


# -- real processes ----------------------------------------------------------------------------------------------------


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "flownet", "train", *arguments, "--device", "cpu"]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def wait_for(log: Path, steps: int, process: subprocess.Popen) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        if log.is_file() and log.read_text().count("\n") >= steps:
            return
        time.sleep(0.002)


LONG = ["small.yaml", "--epochs", "150"]


def test_ctrl_c_saves_says_how_to_go_on_and_going_on_ends_the_same(graph: Path, tmp_path: Path) -> None:
    whole = start(tmp_path, *LONG, "--out", "whole")
    assert whole.wait(120) == 0
    cut = start(tmp_path, *LONG, "--out", "cut")
    wait_for(tmp_path / "cut" / "log.jsonl", 100, cut)
    cut.send_signal(signal.SIGINT)
    out, errors = cut.communicate(timeout=60)
    assert cut.returncode == 130, errors
    assert "to go on: flownet train --resume cut --device cpu" in out
    assert "Traceback" not in errors
    resumed = start(tmp_path, "--resume", "cut")  # the command that it said
    out, errors = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, errors
    assert "resumed at epoch" in out
    assert weights_hash(tmp_path / "cut" / "weights.safetensors") == weights_hash(
        tmp_path / "whole" / "weights.safetensors"
    )


def test_resume_alone_takes_the_latest_run_of_the_graph(run, graph: Path) -> None:
    first = document(run("train", graph, "--device", "cpu", "--json"))
    again = document(run("train", graph, "--device", "cpu", "--json", "--resume"))
    assert again["run"] == first["run"]
    assert again["metrics"] == first["metrics"]


def test_output_to_a_file_has_no_bar_and_no_colour(graph: Path, tmp_path: Path) -> None:
    done = start(tmp_path, "small.yaml")
    out, errors = done.communicate(timeout=60)
    assert "\x1b" not in out + errors
    assert "\r" not in out
    assert errors == ""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_with_speed_and_time_left(graph: Path, tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "flownet", "train", *LONG, "--device", "cpu"]
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = subprocess.Popen(command, cwd=tmp_path, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    seen = b""
    while True:
        try:
            data = os.read(controller, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    assert process.wait(60) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "━" in text
    assert "/s" in text
    assert " left" in text
