"""Files of tensors are whole or not there: full disk, read-only folder, kill in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from flownet.errors import FlownetError, MachineError
from flownet.training.checkpoint import read_tensors, write_atomically, write_tensors


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "a/weight": rng.normal(size=(3, 4)).astype(np.float32),
        "double": rng.normal(size=5),
        "rng": np.array([1, 2], np.uint32),
        "empty": np.zeros((0, 2), np.float32),
        "scalar": np.float32(3),
        "strided": rng.normal(size=(4, 6)).astype(np.float32)[::2, ::3],
    }
    write_tensors(tmp_path / "w.safetensors", tensors, {"position": {"epoch": 3}})
    found = read_tensors(tmp_path / "w.safetensors")
    assert found.metadata["position"] == {"epoch": 3}
    assert set(found.tensors) == set(tensors)
    for name, array in tensors.items():
        assert found.tensors[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found.tensors[name], array)


def test_others_read_the_file(tmp_path: Path) -> None:
    # the format by its specification: eight bytes with the length of a JSON header, the header, the numbers
    write_tensors(tmp_path / "w.safetensors", {"x": np.array([1, 2], np.float32)}, {})
    data = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header["x"]["dtype"] == "F32"
    assert header["x"]["shape"] == [2]
    begin, end = header["x"]["data_offsets"]
    assert np.frombuffer(data[8 + length :][begin:end], "<f4").tolist() == [1, 2]


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_tensors(tmp_path / name, {"x": np.arange(5.0), "y": np.arange(3.0)}, {"n": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 7, b"hello, this is no weights file", (10**9).to_bytes(8, "little") + b"{}"]
)
def test_a_file_that_is_no_safetensors_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(FlownetError, match="w` is no whole safetensors file") as error:
        read_tensors(tmp_path / "w")
    assert error.value.diagnostics[0].code == "bad-weights"


def test_every_cut_of_a_file_is_found(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w", {"x": np.arange(50.0)}, {"n": 1})
    whole = (tmp_path / "w").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "w").write_bytes(whole[:length])
        with pytest.raises(FlownetError):
            read_tensors(tmp_path / "w")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(FlownetError) as error:
            read_tensors(path)
        assert error.value.diagnostics[0].code == "no-weights"


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"1")
    write_atomically(tmp_path / "a", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"2"


def test_a_folder_that_is_not_there_is_the_machine_s_failure(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot be written: No such file") as error:
        write_atomically(tmp_path / "nowhere" / "a", b"1")
    assert error.value.diagnostics[0].help == f"make the folder `{tmp_path / 'nowhere'}`, or name another"


_READ_ONLY = """
import os, sys
from pathlib import Path
from flownet.errors import MachineError
from flownet.training.checkpoint import write_atomically
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write everywhere
try:
    write_atomically(Path(sys.argv[1]), b"new")
except MachineError as error:
    print(error)
"""


def test_a_read_only_folder_keeps_what_was_there() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder cannot be entered by other users
        folder = Path(name)
        write_atomically(folder / "a", b"old")
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", _READ_ONLY, folder / "a"], capture_output=True, text=True)
        folder.chmod(0o755)
        assert done.returncode == 0, done.stderr
        assert "cannot be written: Permission denied" in done.stdout
        assert (folder / "a").read_bytes() == b"old"


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from flownet.errors import MachineError
from flownet.training.checkpoint import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path(sys.argv[1])
write_atomically(path, b"o" * 900)
try:
    write_atomically(path, b"n" * 2000)
except MachineError as error:
    print(error)
"""


def test_a_disk_that_fills_up_keeps_what_was_there(tmp_path: Path) -> None:
    # a limit on the size of files gives EFBIG where a full disk gives ENOSPC: the write fails half way in both
    done = subprocess.run([sys.executable, "-c", _FULL_DISK, tmp_path / "a"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be written: File too large" in done.stdout
    assert "what was saved there before is whole" in done.stdout
    assert "help: free some space, or write into another folder" in done.stdout
    assert (tmp_path / "a").read_bytes() == b"o" * 900
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


_KILLED = """
import os, sys
from pathlib import Path
from flownet.training import checkpoint
real = os.fsync
def dies(descriptor):
    os.kill(os.getpid(), 9)
os.fsync = dies
checkpoint.write_atomically(Path(sys.argv[1]), b"new" * 1000)
"""


def test_whoever_is_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "a"])
    assert done.returncode == -9
    assert (tmp_path / "a").read_bytes() == b"old"
