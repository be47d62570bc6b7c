"""Neural networks as graph files, run by one executor on the CPU and on any OpenCL device."""

from flownet.errors import Diagnostic, FlownetError
from flownet.hookspecs import hookimpl
from flownet.op import ElementwiseOp, Initial, Op, Sample

__version__ = "0.1.0"

__all__ = ["Diagnostic", "ElementwiseOp", "FlownetError", "Initial", "Op", "Sample", "hookimpl"]
