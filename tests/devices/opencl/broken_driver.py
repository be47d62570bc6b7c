"""OpenCL calls that fail, as those of a broken driver or of a device that is gone do."""

from __future__ import annotations

from typing import Any

GONE, NO_MEMORY, NO_RESOURCES, BAD_CONTEXT, BAD_BUILD = -2, -4, -5, -34, -11


def cl_error(code: int, routine: str = "clInjected") -> Exception:
    """The exception that PyOpenCL raises for a code."""
    import pyopencl as cl

    kind = cl.MemoryError if code == NO_MEMORY else cl.LogicError if code <= -30 else cl.RuntimeError
    return kind(cl._cl._ErrorRecord(msg="", code=code, routine=routine))


class Failing:
    """A function that works `after` times, and then raises the error of `code` for good."""

    def __init__(self, function: Any, code: int, after: int = 0) -> None:
        self.function, self.code, self.left = function, code, after

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise cl_error(self.code)
        return self.function(*arguments, **named)


class FailingQueue:
    """A command queue whose `finish` fails."""

    def __init__(self, queue: Any, code: int) -> None:
        self._queue, self.finish = queue, Failing(queue.finish, code)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)
