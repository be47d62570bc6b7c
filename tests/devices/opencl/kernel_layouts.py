"""The generators' layouts, written once more in NumPy as the tests' own reading of the docstrings."""

from __future__ import annotations

import numpy as np


def to_blocked(x, v):
    """[n][c][h][w] -> [n][ceil(c / v)][h][w][v], zeros past c."""
    n, c, h, w = x.shape
    x = np.pad(x, ((0, 0), (0, -c % v), (0, 0), (0, 0)))
    return np.ascontiguousarray(x.reshape(n, -1, v, h, w).transpose(0, 1, 3, 4, 2), np.float32)


def from_blocked(flat, shape, v):
    """The inverse of `to_blocked` for an image of `shape` (n, c, h, w)."""
    n, c, h, w = shape
    return flat.reshape(n, -1, h, w, v).transpose(0, 1, 4, 2, 3).reshape(n, -1, h, w)[:, :c]


def filters(weights, p, shape, v, transposed=False):
    """[k][c / groups][r][s] -> the shape of `direct.filter_shape` for tap convolution `p`; `transposed`: for the input
    gradient."""
    c_block, block = shape[3:]
    out, groups = np.zeros(shape, np.float32), p.groups
    firsts, _ = p.input_blocks(block, v)
    outs, ins = p.output[0], p.input[0]
    per_out, per_in = outs // groups, ins // groups
    wide = weights.shape[3]
    for k in range(outs):
        group = k // per_out
        for c in range(group * per_in, (group + 1) * per_in):
            local = c - firsts[k // block] * v if not p.planar else c
            for t, (_, _, rs) in enumerate(p.taps):
                r, s = divmod(rs, wide)
                value = weights[c, k % per_out, r, s] if transposed else weights[k, c % per_in, r, s]
                out[k // block, local // c_block, t, local % c_block, k % block] = value
    return out
