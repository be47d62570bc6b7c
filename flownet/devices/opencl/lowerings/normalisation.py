"""Normalisation over batches and over rows.

A batch's variance is taken in one pass over x, as the mean of squared distances from a number near the mean, less the square of
the mean distance: in one pass it can be summed in the epilogue of the convolution that makes x. Near is the running mean where a
convolution makes x, whose mean is never far from it against its deviation; for anything else (raw data with a mean of 1000, say) the
channel's first value. So what cancels is small, and no digits are lost.
"""

from __future__ import annotations

from math import prod

from flownet.devices.opencl.lowerings.build import ints, reduce, view
from flownet.expression import parse
from flownet.kernels import Convolution2D, ConvolutionInputGradient, Copy, MatMul, Reduce
from flownet.op import Elementwise
from flownet.passes.lower import Fallback

__all__ = ["LOWERINGS"]


def _several(g, texts, **operands):
    """A node of several expressions, which may use those above them: its values by name."""
    from flownet.expression import substitute

    known: dict = {}
    for name, text in texts.items():
        known[name] = substitute(parse(text), known)
    made = g.add(Elementwise(tuple(known.items()), tuple(operands)), **operands)
    return dict(zip(known, made if isinstance(made, tuple) else (made,), strict=True))


def _beside(g, channel, x):
    return view(g, channel, (*channel.type.shape, *(1,) * (x.type.rank - 2)))


def _made_by_product(g, x):
    """Whether a convolution or a matrix product makes x, with or without a bias."""
    for _ in range(3):
        producer = g.graph.nodes.get(x.producer)
        if producer is None:
            return False
        if isinstance(producer.op, (Convolution2D, ConvolutionInputGradient, MatMul)):
            return True
        if not (hasattr(producer.op, "expressions") or producer.op.is_view):
            return False
        x = g.graph.values[next(iter(producer.inputs.values()))]
    return False


def batch_norm(op, g, x, scale, bias, running_mean, running_var):
    axes = (0, *range(2, x.type.rank))
    m = prod(x.type.shape) // x.type.shape[1]
    if m < 2:
        raise Fallback("one value a channel has no variance")  # NumPy says so while running
    if _made_by_product(g, x):
        near = running_mean
    else:
        coordinates = ((0, None, 1, 1), (0, 0, 1, 1), *((0, None, 1, 1),) * (x.type.rank - 2))
        near = g.add(Copy((x.type.shape[1],), coordinates), x)
    terms = (("first", "sum", parse("x - k")), ("second", "sum", parse("(x - k) * (x - k)")))
    first, second = g.add(Reduce(terms, ("x", "k"), axes), x=x, k=_beside(g, near, x))
    made = _several(
        g,
        {
            "mean": f"k + a * {1 / m!r}",
            "var": f"maximum(b * {1 / m!r} - (a * {1 / m!r}) * (a * {1 / m!r}), 0)",
            "inverse_std": f"1 / sqrt(var + {op.epsilon!r})",
            "new_running_mean": f"{1 - op.momentum!r} * running_mean + {op.momentum!r} * mean",
            "new_running_var": f"{1 - op.momentum!r} * running_var + {op.momentum * m / (m - 1)!r} * var",
            "gain": "scale * inverse_std",
        },
        a=first, b=second, k=near, running_mean=running_mean, running_var=running_var, scale=scale,
    )  # fmt: skip
    beside = {
        name: _beside(g, value, x) for name, value in (("mean", made["mean"]), ("gain", made["gain"]), ("bias", bias))
    }
    y = g.add(Elementwise((("y", parse("(x - mean) * gain + bias")),), ("x", *beside)), x=x, **beside)
    return {"y": y, **made}


def batch_norm_backward(gradient, g, x, scale, mean, inverse_std, dy, *others):
    if dy is None or any(value is not None for value in others):
        raise Fallback("a gradient of batch_norm's statistics has no kernels")
    axes = (0, *range(2, x.type.rank))
    m = prod(x.type.shape) // x.type.shape[1]
    terms = (("first", "sum", parse("dy")), ("second", "sum", parse("dy * (x - mean)")))
    first, second = g.add(Reduce(terms, ("dy", "x", "mean"), axes), dy=dy, x=x, mean=_beside(g, mean, x))
    made = _several(
        g,
        {
            "scale": "i * b",
            "bias": "a * 1.0",
            "gain": "s * i",
            "slope": f"-gain * i * scale * {1 / m!r}",
            "level": f"-gain * a * {1 / m!r}",
        },
        i=inverse_std, s=scale, a=first, b=second,
    )  # fmt: skip
    beside = {
        name: _beside(g, value, x) for name, value in {**made, "mean": mean}.items() if name not in ("scale", "bias")
    }
    text = "(x - mean) * slope + dy * gain + level"
    dx = g.add(Elementwise((("dx", parse(text)),), ("x", "dy", *beside)), x=x, dy=dy, **beside)
    return {"x": dx, "scale": made["scale"], "bias": made["bias"]}


def _rows(g, x, scale):
    size = prod(scale.type.shape)
    return view(g, x, (prod(x.type.shape) // size, size)), size


def layer_norm(op, g, x, scale, bias):
    rows, size = _rows(g, x, scale)
    mean = reduce(g, "sum", f"x * {1 / size!r}", (1,), True, x=rows)
    var = reduce(g, "sum", f"(x - m) * (x - m) * {1 / size!r}", (1,), True, x=rows, m=mean)
    inverse = _several(g, {"i": f"1 / sqrt(v + {op.epsilon!r})"}, v=var)["i"]
    operands = {"x": rows, "m": mean, "i": inverse, "s": view(g, scale, (size,)), "b": view(g, bias, (size,))}
    y = g.add(Elementwise((("y", parse("(x - m) * i * s + b")),), tuple(operands)), **operands)
    lead = ints(x.type.shape)[: x.type.rank - scale.type.rank]
    return {"y": view(g, y, x.type.shape), "mean": view(g, mean, lead), "inverse_std": view(g, inverse, lead)}


def layer_norm_backward(gradient, g, x, scale, mean, inverse_std, dy, *others):
    if dy is None or any(value is not None for value in others):
        raise Fallback("a gradient of layer_norm's statistics has no kernels")
    rows, size = _rows(g, x, scale)
    dy, _ = _rows(g, dy, scale)
    column = (rows.type.shape[0], 1)
    operands = {"x": rows, "dy": dy, "m": view(g, mean, column), "i": view(g, inverse_std, column)}
    terms = (("dscale", "sum", parse("dy * (x - m) * i")), ("dbias", "sum", parse("dy")))
    dscale, dbias = g.add(Reduce(terms, tuple(operands), (0,)), **operands)
    operands["s"] = view(g, scale, (size,))
    terms = (
        ("total", "sum", parse(f"dy * s * {1 / size!r}")),
        ("product", "sum", parse(f"dy * s * (x - m) * i * {1 / size!r}")),
    )
    total, product = g.add(Reduce(terms, tuple(operands), (1,), True), **operands)
    operands |= {"t": total, "p": product}
    dx = g.add(Elementwise((("dx", parse("i * (dy * s - t - (x - m) * i * p)")),), tuple(operands)), **operands)
    shape = ints(scale.type.shape)
    return {"x": view(g, dx, x.type.shape), "scale": view(g, dscale, shape), "bias": view(g, dbias, shape)}


LOWERINGS = {
    "batch_norm": batch_norm,
    "batch_norm.backward": batch_norm_backward,
    "layer_norm": layer_norm,
    "layer_norm.backward": layer_norm_backward,
}
