"""What a device can be asked for: the few kernels that every op is lowered to, each an op with its meaning in NumPy.

An author of an op describes its kernels with these, in `opencl(self, g, *inputs)`; which tile, layout or variant runs is the
device's business. Because each is an op, a lowered graph runs on the CPU device too, and every pass is checked by values.

    Elementwise      expressions over operands that broadcast (flownet.op)
    Reduce           sums, maxima, minima of expressions over axes
    MatMul           matrix products, transposed or not, batched
    Convolution2D    its two gradients, ConvolutionInputGradient and ConvolutionWeightGradient, too
    Pool             maxima and means of windows, PoolGradient and Unpool
    Copy, Join       elements at other places: transposing, slicing, padding, repeating; one behind the other
    Gather, ScatterAdd  rows by index
    Resample         weighted sums of a few elements along an axis
    Random           numbers of the counter-based generator
    Cast             another element type
    Template         OpenCL C for what nobody foresaw
"""

from flownet.kernels.cast import Cast
from flownet.kernels.convolution import Convolution2D, ConvolutionInputGradient, ConvolutionWeightGradient
from flownet.kernels.copy import Copy, Join
from flownet.kernels.fused import Fused
from flownet.kernels.gather import Gather, ScatterAdd
from flownet.kernels.in_range import InRange
from flownet.kernels.layout import Block, Unblock
from flownet.kernels.matmul import MatMul
from flownet.kernels.pool import Pool, PoolGradient, Unpool
from flownet.kernels.reduce import Reduce
from flownet.kernels.resample import Resample
from flownet.kernels.template import Template
from flownet.kernels.uniform import Uniform
from flownet.kernels.view import View

__all__ = [
    "Block",
    "Cast",
    "Convolution2D",
    "ConvolutionInputGradient",
    "ConvolutionWeightGradient",
    "Copy",
    "Fused",
    "Gather",
    "InRange",
    "Join",
    "MatMul",
    "Pool",
    "PoolGradient",
    "Reduce",
    "Resample",
    "ScatterAdd",
    "Template",
    "Unblock",
    "Uniform",
    "Unpool",
    "View",
]
