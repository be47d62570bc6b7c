"""From a graph to numbers: a session keeps parameters and states, and one plan for each graph and batch size."""

from flownet.executor.session import Plan, Session

__all__ = ["Plan", "Session"]
