"""The built-in ops' kernels, by family: op name -> `f(op, g, *inputs)`, brought by the hook `flownet_kernels`.

A gradient's lowering is called `<op>.<method>` and gets the `Gradient`, whose `op` is the op, and the method's arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flownet.devices.opencl.lowerings import (
    activation,
    convolution,
    linear,
    loss,
    metric,
    normalisation,
    pooling,
    random,
    reduction,
    shape,
)

__all__ = ["LOWERINGS"]

LOWERINGS: Mapping[str, Any] = {
    name: function
    for module in (activation, convolution, linear, loss, metric, normalisation, pooling, random, reduction, shape)
    for name, function in module.LOWERINGS.items()
}
