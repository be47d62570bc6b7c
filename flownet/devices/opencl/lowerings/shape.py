"""Elements at other places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.devices.opencl.lowerings.build import ints, reduce, view
from flownet.kernels import Copy, Join, Resample
from flownet.passes.lower import Fallback, stretched
from flownet.types import DType

__all__ = ["LOWERINGS"]


def concat(op, g, *x):
    return g.add(Join(op.axis % x[0].type.rank), *x) if len(x) > 1 else x[0]


def transpose(op, g, x):
    rank = x.type.rank
    axes = tuple(reversed(range(rank))) if op.axes is None else tuple(axis % rank for axis in op.axes)
    return g.add(Copy.transpose(ints(x.type.shape), axes), x)


def _ranges(op, x):
    """The range of indices that a slice takes along each axis of x (a type)."""
    ranges = [range(size) for size in ints(x.shape)]
    axes = range(len(op.starts)) if op.axes is None else op.axes
    for axis, start, end, step in zip(axes, op.starts, op.ends, op.steps or (1,) * len(op.starts), strict=True):
        ranges[axis % x.rank] = ranges[axis % x.rank][start:end:step]
    return ranges


def slice_(op, g, x):
    ranges = _ranges(op, x.type)
    return g.add(Copy.slices([r.start for r in ranges], [len(r) for r in ranges], [r.step for r in ranges]), x)


def slice_backward(gradient, g, x, dy):
    """dy at every step-th place: turned round where the step is negative, spread out, and moved to where the slice began."""
    ranges, sizes = _ranges(gradient.op, x.type), ints(dy.type.shape)
    if any(r.step < 0 for r in ranges):
        begins = [len(r) - 1 if r.step < 0 else 0 for r in ranges]
        dy = g.add(Copy.slices(begins, sizes, [-1 if r.step < 0 else 1 for r in ranges]), dy)
    starts, steps = [min(r[0], r[-1]) for r in ranges], [abs(r.step) for r in ranges]
    if not any(starts):
        return g.add(Copy.spread(ints(x.type.shape), steps), dy)
    dy = g.add(Copy.spread([(size - 1) * step + 1 for size, step in zip(sizes, steps, strict=True)], steps), dy)
    return g.add(Copy.slices([-start for start in starts], ints(x.type.shape)), dy)


@dataclass(frozen=True)
class _Taps:
    """What the elements of a line are made of: element `to[t]` gets `weight[t]` times element `source[t]` of a line of `size`."""

    to: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    out: int
    size: int

    @property
    def transposed(self) -> _Taps:
        return _Taps(self.source, self.to, self.weight, self.size, self.out)


def _along(g, taps, axis, x):
    """x with its lines along an axis made anew."""
    if x.type.dtype is not DType.float32:
        raise Fallback("kernels multiply float32 alone")
    order = np.argsort(taps.to, kind="stable")
    starts = np.searchsorted(taps.to[order], np.arange(taps.out + 1))
    counts = np.diff(starts)
    each = int(counts[0]) if np.ptp(counts) == 0 else 0
    tables = (starts, DType.int32), (taps.source[order], DType.int32), (taps.weight[order], DType.float32)
    return g.add(Resample(axis, each), x, *(g.constant(*table) for table in tables))


def _pads(op, rank):
    return [(0, 0)] * (rank - len(op.pads)) + [tuple(p) for p in op.pads]


def _bordered(size, around, mode):
    """The lines of a tensor with a border."""
    source = np.pad(np.arange(size), around, mode)
    return _Taps(np.arange(len(source)), source, np.ones(len(source)), len(source), size)


def pad(op, g, x):
    pads, shape = _pads(op, x.type.rank), ints(x.type.shape)
    if op.mode == "constant":
        padded = [before + size + after for (before, after), size in zip(pads, shape, strict=True)]
        return g.add(Copy.slices([-before for before, _ in pads], padded, fill=op.value), x)
    for axis, around in enumerate(pads):
        if any(around):
            x = _along(g, _bordered(shape[axis], around, op.mode), axis, x)
    return x


def pad_backward(gradient, g, dy):
    op, pads = gradient.op, _pads(gradient.op, dy.type.rank)
    shape = [size - before - after for (before, after), size in zip(pads, ints(dy.type.shape), strict=True)]
    if op.mode == "constant":
        return g.add(Copy.slices([before for before, _ in pads], shape), dy)
    for axis, around in enumerate(pads):
        if any(around):
            dy = _along(g, _bordered(shape[axis], around, op.mode).transposed, axis, dy)
    return dy


def broadcast_to(op, g, x):
    return stretched(g, x, ints(op.shape))


def _interpolation(size, factor):
    """The lines of a tensor enlarged by `bilinear`: a new pixel lies towards a neighbour of the one that it is part of."""
    to = np.arange(size * factor)
    offset = (to % factor + 0.5) / factor - 0.5
    own, share = to // factor, np.abs(offset)
    neighbour = np.clip(own + np.sign(offset).astype(int), 0, size - 1)
    between = share > 0
    parts = [(to, own, 1 - share), (to[between], neighbour[between], share[between])]
    return _Taps(*map(np.concatenate, zip(*parts, strict=True)), size * factor, size)


def upsample(op, g, x):
    n, c, h, w = ints(x.type.shape)
    down, right = op.factors
    if op.mode != "nearest":
        return _along(g, _interpolation(w, right), 3, _along(g, _interpolation(h, down), 2, x))
    coordinates = ((0, 0, 1, 1), (0, 1, 1, 1), (0, 2, 1, down), (0, 3, 1, right))
    return g.add(Copy((n, c, h * down, w * right), coordinates), x)


def upsample_backward(gradient, g, dy):
    op = gradient.op
    n, c, h, w = ints(dy.type.shape)
    down, right = op.factors
    if op.mode != "nearest":
        dy = _along(g, _interpolation(h // down, down).transposed, 2, dy)
        return _along(g, _interpolation(w // right, right).transposed, 3, dy)
    parts = view(g, dy, (n, c, h // down, down, w // right, right))
    return reduce(g, "sum", "x", (3, 5), x=parts)


def sum_to_backward(gradient, g, x, dy):
    return stretched(g, view(g, dy, (1,) * (x.type.rank - dy.type.rank) + ints(dy.type.shape)), ints(x.type.shape))


LOWERINGS = {
    "sum_to.backward": sum_to_backward,
    "concat": concat,
    "transpose": transpose,
    "slice": slice_,
    "slice.backward": slice_backward,
    "pad": pad,
    "pad.backward": pad_backward,
    "broadcast_to": broadcast_to,
    "upsample": upsample,
    "upsample.backward": upsample_backward,
}
