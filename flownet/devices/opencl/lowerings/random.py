"""Random numbers: the counter-based generator, to the bit as `flownet.ops.random.random_uniform` defines it."""

from __future__ import annotations

import numpy as np

from flownet.devices.opencl.lowerings.build import ints
from flownet.kernels import Template, Uniform
from flownet.passes.lower import Fallback

__all__ = ["LOWERINGS"]


def random_uniform(op, g, like, rng):
    if op.dtype != "float32":
        raise Fallback("kernels compute in float32")
    shape = ints(op.shape if op.shape is not None else like.type.shape)
    # an input, not a part of the text: one kernel serves all nodes
    stream = g.constant(np.array([op.stream or 0], np.uint32))
    return g.add(Uniform(shape), rng, stream)


def advance_rng(op, g, rng):
    source = "y[0] = rng[0]; y[1] = rng[1] + 1u;"
    return g.add(Template("advance_rng", ("rng",), (("y", rng.type),), source, 1, meaning=op.forward), rng=rng)


LOWERINGS = {"random_uniform": random_uniform, "advance_rng": advance_rng}
