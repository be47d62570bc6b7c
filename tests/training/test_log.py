"""The log: JSON Lines that other programs read, cut back where a resumed run begins again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from flownet.errors import MachineError
from flownet.training.log import Log, read_log


def test_records_are_lines_of_json(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write({"step": 1, "loss": 0.5})
    log.write({"step": 2, "loss": 0.25})
    log.close()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def test_what_is_not_finite_is_null_also_inside(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write({"loss": math.nan, "metrics": {"a": math.inf, "b": 1.0}})
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"loss": None, "metrics": {"a": None, "b": 1.0}}


def test_a_line_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write({"step": 1})
    assert [record["step"] for record in read_log(tmp_path / "log.jsonl")] == [1]
    log.close()


def test_a_resumed_log_goes_on_where_the_checkpoint_was(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path)
    log.write({"step": 1})
    kept = log.size
    log.write({"step": 2})
    log.close()
    again = Log(path, kept)
    again.write({"step": 2, "again": True})
    again.close()
    assert list(read_log(path)) == [{"step": 1}, {"step": 2, "again": True}]


def test_a_line_that_a_crash_cut_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2, "lo')
    assert list(read_log(tmp_path / "log.jsonl")) == [{"step": 1}]


def test_a_log_that_cannot_be_opened_is_the_machine_s_failure(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot be written"):
        Log(tmp_path / "nowhere" / "log.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_ends_the_run_with_the_reason() -> None:
    log = Log.__new__(Log)
    log.path = Path("/dev/full")
    log._file = open("/dev/full", "wb")  # noqa: SIM115  # closed by `close`
    with pytest.raises(MachineError, match="No space left on device"):
        log.write({"step": 1})
    log.close()
