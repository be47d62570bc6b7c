"""The graph as data: values, nodes, a builder, a printer; it knows no op."""

from flownet.graph.builder import Builder
from flownet.graph.graph import Graph, Kind, Node, Origin, Value

__all__ = ["Builder", "Graph", "Kind", "Node", "Origin", "Value"]
