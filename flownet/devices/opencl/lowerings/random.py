"""Random numbers: the counter-based generator, to the bit as `flownet.ops.random.random_uniform` defines it."""

from __future__ import annotations

from math import prod

from flownet.devices.opencl.lowerings.build import ints
from flownet.kernels import Template
from flownet.passes.lower import Fallback
from flownet.types import DType, TensorType

__all__ = ["LOWERINGS"]

_PHILOX = """
uint4 philox(uint4 c, uint2 k) {
    for (int round = 0; round < 10; round++) {
        const uint ph = mul_hi(0xD2511F53u, c.x), pl = 0xD2511F53u * c.x;
        const uint qh = mul_hi(0xCD9E8D57u, c.z), ql = 0xCD9E8D57u * c.z;
        c = (uint4)(qh ^ c.y ^ k.x, ql, ph ^ c.w ^ k.y, pl);
        k += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
"""


def random_uniform(op, g, like, rng):
    if op.dtype != "float32":
        raise Fallback("kernels compute in float32")
    shape = ints(op.shape if op.shape is not None else like.type.shape)
    count = prod(shape)
    source = f"""
        const uint4 w = philox((uint4)((uint)i, rng[1], 0u, 0u), (uint2)(rng[0], {op.stream or 0}u));
        y[4 * i] = (float)(w.x >> 8) * 0x1p-24f;
        if (4 * i + 1 < {count}) y[4 * i + 1] = (float)(w.y >> 8) * 0x1p-24f;
        if (4 * i + 2 < {count}) y[4 * i + 2] = (float)(w.z >> 8) * 0x1p-24f;
        if (4 * i + 3 < {count}) y[4 * i + 3] = (float)(w.w >> 8) * 0x1p-24f;
    """

    def meaning(state):
        return (
            op.forward(rng=state, like=None) if op.shape is not None else type(op)(shape, op.stream).forward(rng=state)
        )

    y = TensorType(DType.float32, shape)
    return g.add(
        Template("random_uniform", ("rng",), (("y", y),), source, -(-count // 4), functions=_PHILOX, meaning=meaning),
        rng=rng,
    )


def advance_rng(op, g, rng):
    source = "y[0] = rng[0]; y[1] = rng[1] + 1u;"
    return g.add(Template("advance_rng", ("rng",), (("y", rng.type),), source, 1, meaning=op.forward), rng=rng)


LOWERINGS = {"random_uniform": random_uniform, "advance_rng": advance_rng}
