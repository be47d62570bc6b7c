"""Whose mistake it is when an op's own code raises what is no FlownetError."""

from __future__ import annotations

import os
import traceback

from flownet.errors import FlownetError
from flownet.op.contract import Op

__all__ = ["failure_of"]


def failure_of(op: Op, error: Exception) -> Exception:
    """For an op of a plugin a FlownetError (`op-failed`) that says where; else the error as it is, since it is ours.

    Lack of memory is nobody's mistake, and stays too.
    """
    author = type(getattr(op, "op", op)).__module__  # a `Gradient` runs the method of another op
    if author.partition(".")[0] == "flownet" or isinstance(error, (FlownetError, MemoryError)):
        return error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).splitlines()
    return FlownetError.of(
        "op-failed", f"`{op.name}` fails: {type(error).__name__}{': ' + text[0] if text else ''}",
        f"raised in `{frame.name}` of {os.path.basename(frame.filename)}:{frame.lineno}",
        help=f"`flownet op test {getattr(op, 'op', op).name}` shows the smallest input that does; it is for the op's author to mend",
    )  # fmt: skip
