"""Pooling and unpooling."""

from __future__ import annotations

from dataclasses import replace

from flownet.devices.opencl.lowerings.build import ints
from flownet.kernels import Cast, Copy, InRange, Pool, PoolGradient, Unpool
from flownet.ops.windows import padding_of, pair
from flownet.types import DType

__all__ = ["LOWERINGS"]


def _geometry(op, x, output):
    """The kernels' attributes for an image x (a type); what windows hang over the end is padding to them."""
    size, output = ints(x.shape[2:]), ints(output[2:])
    kernel, stride = pair(op.kernel), pair(op.kernel if op.stride is None else op.stride)
    declared = [padding_of(op.padding, size[i], kernel[i], stride[i], 1, i) for i in (0, 1)]
    reach = [(output[i] - 1) * stride[i] + kernel[i] - declared[i][0] - size[i] for i in (0, 1)]
    padding = tuple((declared[i][0], max(reach[i], 0)) for i in (0, 1))
    counts = getattr(op, "count_include_pad", False) and all(reach[i] <= declared[i][1] for i in (0, 1))
    kind = "max" if op.name == "max_pool" else "mean"
    return {
        "kind": kind,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "size": size,
        "include_padding": counts,
    }


def max_pool(op, g, x):
    y_type, index_type = op.infer(x.type)
    geometry = _geometry(op, x.type, y_type.shape)
    node = g.graph.nodes[g.scope]
    readers = [
        n for n in g.graph.nodes.values() if node.outputs[1] in n.inputs.values() and n.op.name != "max_pool.backward"
    ]
    if not readers and node.outputs[1] not in g.graph.outputs.values():
        # the gradient finds the maxima again, which is cheaper than storing their places
        empty = g.constant([0], DType.int32)
        from flownet.passes.lower import stretched

        return {"y": g.add(Pool(**geometry), x), "indices": stretched(g, empty, ints(index_type.shape))}
    y, places = g.add(Pool(**geometry, indices=True), x)
    return {"y": y, "indices": g.add(Cast(DType.int32), places)}


def max_pool_backward(gradient, g, x, indices, dy):
    return g.add(PoolGradient(**_geometry(gradient.op, x.type, dy.type.shape)), dy=dy, x=x)


def _border(op, x, output):
    """The padding that must be there in fact: it counts, and what hangs over it does not."""
    size, kernel = ints(x.shape[2:]), pair(op.kernel)
    stride = kernel if op.stride is None else pair(op.stride)
    declared = [padding_of(op.padding, size[i], kernel[i], stride[i], 1, i) for i in (0, 1)]
    ends = [(ints(output[2:])[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
    hang = any(ends[i] > declared[i][0] + size[i] + declared[i][1] for i in (0, 1))
    return declared if op.count_include_pad and hang and any(map(any, declared)) else None


def avg_pool(op, g, x):
    output = op.infer(x.type).shape
    if (border := _border(op, x.type, output)) is not None:
        n, c, h, w = ints(x.type.shape)
        (top, bottom), (left, right) = border
        x = g.add(Copy.slices((0, 0, -top, -left), (n, c, top + h + bottom, left + w + right)), x)
        op = replace(op, padding=0)
    return g.add(Pool(**_geometry(op, x.type, output)), x)


def avg_pool_backward(gradient, g, x, dy):
    op, size = gradient.op, x.type
    if (border := _border(op, size, dy.type.shape)) is None:
        return g.add(PoolGradient(**_geometry(op, size, dy.type.shape)), dy=dy)
    n, c, h, w = ints(size.shape)
    (top, bottom), (left, right) = border
    padded = size.with_shape(n, c, top + h + bottom, left + w + right)
    dx = g.add(PoolGradient(**_geometry(replace(op, padding=0), padded, dy.type.shape)), dy=dy)
    return g.add(Copy.slices((0, 0, top, left), (n, c, h, w)), dx)


def _as_floats(g, indices):
    """Places as floats: those that a pooling made, before they became integers."""
    producer = g.graph.nodes.get(indices.producer)
    if producer is not None and isinstance(producer.op, Cast):
        source = g.graph.values[next(iter(producer.inputs.values()))]
        if source.type.dtype is DType.float32:
            return source
    return g.add(Cast(DType.float32), indices)


def max_unpool(op, g, x, indices, like):
    size = ints(op.infer(x.type, indices.type, like.type if like else None).shape[2:])
    if indices in g.graph.inputs:
        indices = g.add(InRange(size[0] * size[1], replace(op, size=size)), indices)
    return g.add(Unpool(size), x, _as_floats(g, indices))


def max_unpool_backward_x(gradient, g, indices, dy):
    return g.add(Unpool(ints(dy.type.shape[2:]), back=True), dy, _as_floats(g, indices))


LOWERINGS = {
    "max_pool": max_pool,
    "max_pool.backward": max_pool_backward,
    "avg_pool": avg_pool,
    "avg_pool.backward": avg_pool_backward,
    "max_unpool": max_unpool,
    "max_unpool.backward_x": max_unpool_backward_x,
}
