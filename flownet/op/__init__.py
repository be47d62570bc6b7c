"""The contract of an op: what its author writes, and what the compiler may ask of it."""

from flownet.op.contract import Initial, Op, Sample
from flownet.op.elementwise import Elementwise, ElementwiseOp, SumTo, broadcast
from flownet.op.gradient import Gradient
from flownet.op.metric import Metric
from flownet.op.optimizer import Optimizer

__all__ = [
    "Elementwise",
    "ElementwiseOp",
    "Gradient",
    "Initial",
    "Metric",
    "Op",
    "Optimizer",
    "Sample",
    "SumTo",
    "broadcast",
]
