"""Python's garbage collector, held off while many objects are made that are kept.

Reading a file, differentiating and planning make a few hundred objects a node, nearly all of which stay. The collector looks
at all of them again whenever their number has grown by a quarter: a quarter of the time of planning 10,000 nodes, for
nothing found.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["paused_collector"]


@contextmanager
def paused_collector() -> Iterator[None]:
    """Hold the collector off within; also a decorator. Whoever has switched it off finds it so afterwards."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
