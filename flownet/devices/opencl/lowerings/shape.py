"""Elements at other places."""

from __future__ import annotations

from flownet.devices.opencl.lowerings.build import ints, reduce, view
from flownet.kernels import Copy, Join
from flownet.passes.lower import Fallback, stretched

__all__ = ["LOWERINGS"]


def concat(op, g, *x):
    return g.add(Join(op.axis % x[0].type.rank), *x) if len(x) > 1 else x[0]


def transpose(op, g, x):
    rank = x.type.rank
    axes = tuple(reversed(range(rank))) if op.axes is None else tuple(axis % rank for axis in op.axes)
    return g.add(Copy.transpose(ints(x.type.shape), axes), x)


def slice_(op, g, x):
    shape, starts, steps = list(ints(x.type.shape)), [0] * x.type.rank, [1] * x.type.rank
    axes = range(len(op.starts)) if op.axes is None else op.axes
    for axis, start, end, step in zip(axes, op.starts, op.ends, op.steps or (1,) * len(op.starts), strict=True):
        axis %= x.type.rank
        found = range(*slice(start, end, step).indices(shape[axis]))
        shape[axis], starts[axis], steps[axis] = len(found), found.start, step
    return g.add(Copy.slices(starts, shape, steps), x)


def slice_backward(gradient, g, x, dy):
    """dy at every step-th place: turned round where the step is negative, spread out, and moved to where the slice began."""
    op, shape, starts, steps, turned = gradient.op, ints(x.type.shape), [0] * x.type.rank, [1] * x.type.rank, []
    axes = range(len(op.starts)) if op.axes is None else op.axes
    for axis, start, end, step in zip(axes, op.starts, op.ends, op.steps or (1,) * len(op.starts), strict=True):
        axis %= x.type.rank
        found = range(*slice(start, end, step).indices(shape[axis]))
        if not found:
            raise Fallback("an empty slice has no kernels for its gradient")
        starts[axis], steps[axis] = min(found[0], found[-1]), abs(step)
        turned += [axis] if step < 0 else []
    sizes = ints(dy.type.shape)
    if turned:
        begins = [size - 1 if axis in turned else 0 for axis, size in enumerate(sizes)]
        dy = g.add(Copy.slices(begins, sizes, [-1 if axis in turned else 1 for axis in range(len(sizes))]), dy)
    if not any(starts):
        return g.add(Copy.spread(shape, steps), dy)
    dy = g.add(Copy.spread([(size - 1) * step + 1 for size, step in zip(sizes, steps, strict=True)], steps), dy)
    return g.add(Copy.slices([-start for start in starts], shape), dy)


def pad(op, g, x):
    if op.mode != "constant":
        raise Fallback(f"`pad` with `mode: {op.mode}` has no kernels")
    pads = [(0, 0)] * (x.type.rank - len(op.pads)) + [tuple(p) for p in op.pads]
    shape = [before + size + after for (before, after), size in zip(pads, ints(x.type.shape), strict=True)]
    return g.add(Copy.slices([-before for before, _ in pads], shape, fill=op.value), x)


def pad_backward(gradient, g, dy):
    op = gradient.op
    if op.mode != "constant":
        raise Fallback(f"`pad` with `mode: {op.mode}` has no kernels")
    pads = [(0, 0)] * (dy.type.rank - len(op.pads)) + [tuple(p) for p in op.pads]
    shape = [size - before - after for (before, after), size in zip(pads, ints(dy.type.shape), strict=True)]
    return g.add(Copy.slices([before for before, _ in pads], shape), dy)


def broadcast_to(op, g, x):
    return stretched(g, x, ints(op.shape))


def upsample(op, g, x):
    if op.mode != "nearest":
        raise Fallback(f"`upsample` with `mode: {op.mode}` has no kernels")
    n, c, h, w = ints(x.type.shape)
    down, right = op.factors
    coordinates = ((0, 0, 1, 1), (0, 1, 1, 1), (0, 2, 1, down), (0, 3, 1, right))
    return g.add(Copy((n, c, h * down, w * right), coordinates), x)


def upsample_backward(gradient, g, dy):
    op = gradient.op
    if op.mode != "nearest":
        raise Fallback(f"`upsample` with `mode: {op.mode}` has no kernels")
    n, c, h, w = ints(dy.type.shape)
    down, right = op.factors
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
