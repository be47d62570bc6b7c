"""From a graph to numbers: a session keeps parameters and states, and one plan for each graph and batch size."""

from flownet.executor.buffers import Buffers
from flownet.executor.session import Plan, Session

__all__ = ["Buffers", "Plan", "Session"]
