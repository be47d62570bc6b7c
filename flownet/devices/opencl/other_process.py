"""A process of its own for what may end the process that does it: a kernel that reaches far beyond its memory, a driver that crashes.

It is started with the first message, and anew after it ended. It goes when nobody holds its other end any more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["OtherProcess", "ProcessEnded", "connected"]

_CRASHES = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP"}


class ProcessEnded(Exception):
    """The process ended; the text says by what: a signal's name, or an exit status."""

    @property
    def is_crash(self) -> bool:
        """Whether what it did ended it: nobody else sends such signals."""
        return str(self) in _CRASHES

    @property
    def is_killed(self) -> bool:
        """Whether somebody else ended it: a system that lacks memory, for one."""
        return str(self).startswith("SIG") and not self.is_crash


class OtherProcess:
    """Runs `serve(connection)` of a module, whose first message is `greeting`."""

    def __init__(self, module: str, greeting: Any) -> None:
        self.module, self.greeting = module, greeting
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None

    def send(self, message: Any) -> None:
        """Raises ProcessEnded."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(message)
        except OSError:
            raise self._ended() from None

    def receive(self) -> Any:
        """What the process sends next. Raises ProcessEnded."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None

    def close(self) -> None:
        """Let the process go; the next message starts another."""
        if self._process is not None:
            self._connection.close()
            self._process = None

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        folder = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        code = f"from {__name__} import connected; from {self.module} import serve; serve(connected({theirs.fileno()}))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": path}
        )
        theirs.close()  # it ends when ours is closed, and ours when it ends
        self._connection.send(self.greeting)

    def _ended(self) -> ProcessEnded:
        assert self._process is not None
        status = self._process.wait()
        self._process = None
        return ProcessEnded(signal.Signals(-status).name if status < 0 else f"exit status {status}")


def connected(descriptor: int) -> Connection:
    """The process's own end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, and whose end ends it
    return Connection(descriptor)
