import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import BENCHMARKS

PEER = f"""
import sys, time
sys.path.insert(0, {str(BENCHMARKS / "peers")!r})
from protocol import serve

class Peer:
    version = "peer 1"
    def variants(self, mode, dimensions):
        return ["slow", "fine"][: dimensions]
    def train(self, network, variant):
        if variant == "slow":
            time.sleep(600)
        return lambda: float(network.x.sum())

serve(Peer)
"""


def test_a_peer_that_is_ended_in_one_mode_keeps_its_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import worker

    (tmp_path / "row").mkdir()
    (tmp_path / "row" / "network.json").write_text("{}")
    np.savez(tmp_path / "row" / "tensors.npz", input=np.array([1.5, 2.5], np.float32), label=np.zeros(2))
    (tmp_path / "peer.py").write_text(PEER)
    monkeypatch.setitem(worker.PEERS, "peer", (str(tmp_path / "peer.py"),))
    peer = worker.Worker("peer", sys.executable, tmp_path, subprocess.DEVNULL)
    try:
        assert peer.version == "peer 1"
        assert peer.ask("variants", "train", 1) == ["slow"]
        assert peer.prepare("row", "train", "fine", 60)["losses"] == [4.0] * 5
        before = peer.process.pid
        assert peer.prepare("row", "train", "slow", 1)["error"] == "no answer to `prepare` within 1 s"
        assert len(peer.run("row", "train", "fine", 0.0, 60)["seconds"]) == 1
        assert peer.process.pid != before
        assert "KeyError" in peer.run("row", "train", "slow", 0.0, 60)["error"]
    finally:
        peer.end()
