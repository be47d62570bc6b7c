"""Neural networks as graph files, run by one executor on the CPU and on any OpenCL device.

net = flownet.load("graphs/digits.yaml")
result = flownet.train(net)
net.run(image=images)["probabilities"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flownet.errors import Diagnostic, FlownetError
from flownet.hookspecs import hookimpl
from flownet.op import ElementwiseOp, Initial, Op, Sample

if TYPE_CHECKING:
    from flownet.network import Network, compile, evaluate, load, train

__version__ = "0.1.0"

__all__ = [
    "Diagnostic",
    "ElementwiseOp",
    "FlownetError",
    "Initial",
    "Network",
    "Op",
    "Sample",
    "compile",
    "evaluate",
    "hookimpl",
    "load",
    "train",
]

_FROM_NETWORK = ("Network", "compile", "evaluate", "load", "train")


def __getattr__(name: str) -> Any:
    """The names that need the language, devices and training: imported at first use, so that plugins load fast."""
    if name in _FROM_NETWORK:
        import flownet.network

        return getattr(flownet.network, name)
    raise AttributeError(f"module 'flownet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FROM_NETWORK])
