"""Whose mistake it is when an op's own code raises what is no FlownetError."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import numpy as np

from flownet.errors import FlownetError
from flownet.op.contract import Op

__all__ = ["check_shape", "failure_of"]


def failure_of(op: Op, error: Exception) -> Exception:
    """For an op of a plugin a FlownetError (`op-failed`) that says where; else the error as it is, since it is ours.

    Lack of memory is nobody's mistake, and stays too.
    """
    author = type(getattr(op, "op", op)).__module__  # a `Gradient` runs the method of another op
    if author.partition(".")[0] == "flownet" or isinstance(error, (FlownetError, MemoryError)):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules.get(author), "__file__", None)  # the last line of the author's, not what it led to
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    text = str(error).splitlines()
    return FlownetError.of(
        "op-failed", f"`{op.name}` fails: {type(error).__name__}{': ' + text[0] if text else ''}",
        f"raised in `{frame.name}` of {os.path.basename(frame.filename)}:{frame.lineno}",
        help=f"`flownet op test {getattr(op, 'op', op).name}` shows the smallest input that does; it is for the op's author to mend",
    )  # fmt: skip


def check_shape(op: Op, result: Any, shape: tuple[int, ...]) -> None:
    """Raise FlownetError (`op-failed`) unless a result has the shape that `infer` said: NumPy would broadcast it without a word."""
    if result is not None and np.shape(result) == shape:
        return
    made = "nothing" if result is None else f"an array of shape {list(np.shape(result))}"
    raise FlownetError.of(
        "op-failed", f"`{op.name}` makes {made} where its `infer` says {list(shape)}",
        help=f"`flownet op test {getattr(op, 'op', op).name}` shows more; it is for the op's author to mend",
    )  # fmt: skip
