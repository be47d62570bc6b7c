"""Convolutions and transposed convolutions: each is the other's gradient."""

from __future__ import annotations

from flownet.devices.opencl.lowerings.build import elementwise, ints, reduce, view
from flownet.kernels import Convolution2D, ConvolutionInputGradient, ConvolutionWeightGradient
from flownet.ops.windows import padding_of, pair

__all__ = ["LOWERINGS"]


def _geometry(op, x, weight_shape):
    """The attributes of the kernels for an image x (a type) and the filters' shape."""
    kernel, stride, dilation = pair(op.kernel), pair(op.stride), pair(op.dilation)
    size = ints(x.shape[2:])
    padding = tuple(padding_of(op.padding, size[i], kernel[i], stride[i], dilation[i], i) for i in (0, 1))
    filters, per_group = ints(weight_shape[:2])
    return {
        "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": op.groups,
        "channels": per_group * op.groups, "filters": filters, "size": size,
    }  # fmt: skip


def _with_bias(g, y, bias):
    return y if bias is None else elementwise(g, "y + b", y=y, b=view(g, bias, (*bias.type.shape, 1, 1)))


def conv2d(op, g, x, weight, bias):
    return _with_bias(g, g.add(Convolution2D(**_geometry(op, x.type, weight.type.shape)), x, weight), bias)


def conv2d_backward_x(gradient, g, x, weight, dy):
    return g.add(ConvolutionInputGradient(**_geometry(gradient.op, gradient.types[0], weight.type.shape)), dy, weight)


def conv2d_backward_weight(gradient, g, x, dy):
    return g.add(ConvolutionWeightGradient(**_geometry(gradient.op, x.type, gradient.types[0].shape)), x, dy)


def backward_bias(gradient, g, dy):
    return reduce(g, "sum", "x", (0, 2, 3), x=dy)


def conv_transpose2d(op, g, x, weight, bias):
    image = op.infer(x.type, weight.type)
    return _with_bias(g, g.add(ConvolutionInputGradient(**_geometry(op, image, weight.type.shape)), x, weight), bias)


def conv_transpose2d_backward_x(gradient, g, x, weight, dy):
    return g.add(Convolution2D(**_geometry(gradient.op, dy.type, weight.type.shape)), dy, weight)


def conv_transpose2d_backward_weight(gradient, g, x, dy):
    return g.add(ConvolutionWeightGradient(**_geometry(gradient.op, dy.type, gradient.types[0].shape)), dy, x)


LOWERINGS = {
    "conv2d": conv2d,
    "conv2d.backward_x": conv2d_backward_x,
    "conv2d.backward_weight": conv2d_backward_weight,
    "conv2d.backward_bias": backward_bias,
    "conv_transpose2d": conv_transpose2d,
    "conv_transpose2d.backward_x": conv_transpose2d_backward_x,
    "conv_transpose2d.backward_weight": conv_transpose2d_backward_weight,
    "conv_transpose2d.backward_bias": backward_bias,
}
