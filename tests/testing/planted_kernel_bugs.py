"""An op with OpenCL C of its own that is right, and twins with one bug each, planted where kernels really go wrong.

`KERNEL_BUGS` says for each which check must find it, and what the finding must say. In NumPy all are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flownet.errors import FlownetError
from flownet.kernels import Template
from flownet.op import Op, Sample

KERNEL_BUGS: dict[type[Op], tuple[str, str]] = {}


def planted(check: str, says: str):
    """Enter a broken op, the check that must find it, and words of the finding."""

    def enter(cls: type[Op]) -> type[Op]:
        KERNEL_BUGS[cls] = check, says
        return cls

    return enter


@dataclass(frozen=True)
class Pairs(Op):
    """Sums of neighbours: y_i = x_i + x_(i−1), along the last axis; nothing stands before the first.

    Shapes: float32[…, d] -> the same. Gradient: dx_i = dy_i + dy_(i+1).
    """

    name = "pairs"

    forward_c: ClassVar[str] = "out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f);"
    backward_c: ClassVar[str] = "dx[i] = dy[i] + (i % $d < $d - 1 ? dy[i + 1] : 0.0f);"
    per_item: ClassVar[int] = 1  # elements of a work-item

    def infer(self, x):
        if x.rank < 1 or not x.dtype.is_float:
            raise FlownetError.of("shape-mismatch", f"`pairs` takes float32[…, d], got {x}")
        return x

    def forward(self, x):
        y = np.array(x)
        y[..., 1:] += x[..., :-1]
        return y

    def backward(self, dy):
        dx = np.array(dy)
        dx[..., :-1] += dy[..., 1:]
        return dx

    def flops(self, x):
        return x.size

    def opencl(self, g, x):
        return g.add(self.kernel("pairs", "x", "out", x.type, self.forward_c, self.forward), x)

    def opencl_backward(self, g, dy):
        return g.add(self.kernel("pairs_gradient", "dy", "dx", dy.type, self.backward_c, self.backward), dy)

    def kernel(self, title, into, out, type, source, meaning):
        constants = (("d", type.shape[-1]), ("all", type.size))
        return Template(title, (into,), ((out, type),), source, self.items(type), constants, meaning=meaning)

    def items(self, type):
        return -(-type.size // self.per_item)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0, 4.0], [8.0, -1.0, 3.0]]}, {"y": [[1.0, 3.0, 6.0], [8.0, 7.0, 2.0]]})


class PairsByFour(Pairs):
    """The same with four elements to a work-item, and a tail that stops in time."""

    per_item = 4
    forward_c = "for (int k = 4 * i; k < min(4 * i + 4, $all); k++) out[k] = x[k] + (k % $d ? x[k - 1] : 0.0f);"
    backward_c = (
        "for (int k = 4 * i; k < min(4 * i + 4, $all); k++) dx[k] = dy[k] + (k % $d < $d - 1 ? dy[k + 1] : 0.0f);"
    )


CLEAN_KERNELS = (Pairs, PairsByFour)

# -- races -------------------------------------------------------------------------------------------------------------


@planted("kernel memory", "has a race: work-items 0 and 1 both write `out`[0, 1]")
class ReadsWhatTheNeighbourWrites(Pairs):
    """The first work-item of a row lays x in the output, where the others find it: in order, it is right."""

    forward_c = "if (i % $d == 0) for (int k = 0; k < $d; k++) out[i + k] = x[i + k]; if (i % $d) out[i] += x[i - 1];"


@planted("kernel memory", "both write `out`[0")
class TwoWriteOneElement(Pairs):
    """Each work-item adds its element to both sums that it is in."""

    forward_c = """
        if (i % $d == 0) for (int k = 0; k < $d; k++) out[i + k] = 0.0f;
        out[i] += x[i];
        if (i % $d < $d - 1) out[i + 1] += x[i];
    """


@planted("kernel memory", "both write `out`[")
class TwoWriteTheSameValue(Pairs):
    """Blocks that overlap: the value is the same, the write is still a race."""

    forward_c = """
        for (int k = i; k < min(i + 2, $all); k++) out[k] = x[k] + (k % $d ? x[k - 1] : 0.0f);
    """


@planted("kernel memory", "the kernel `pairs_gradient` has a race")
class RaceInTheGradient(Pairs):
    """Scatters instead of gathering."""

    backward_c = "if (i % $d == 0) for (int k = 0; k < $d; k++) dx[i + k] = 0.0f; dx[i] += dy[i]; if (i % $d) dx[i - 1] += dy[i];"


@planted("kernel memory", "has a race")
class RaceBehindTheFirst256(Pairs):
    """Right for small sizes: only from 256 on does a work-item read its neighbour's result."""

    forward_c = "out[i] = i < 256 ? x[i] + (i % $d ? x[i - 1] : 0.0f) : i % $d ? x[i] + (out[i - 1] - (i % $d > 1 ? x[i - 2] : 0.0f)) : x[i];"


# -- out of bounds -----------------------------------------------------------------------------------------------------


@planted("kernel memory", "reads out of bounds: before the beginning of `x`, which has 1 element")
class ReadsBeforeTheBeginning(Pairs):
    """Multiplies what is not there by zero, and trusts that it is a number."""

    forward_c = "out[i] = x[i] + (i % $d != 0) * x[i - 1];"


@planted("kernel memory", "reads out of bounds: past the end of `dy`, which has 1 element")
class ReadsPastTheEnd(Pairs):
    """The same at the other end, in the gradient."""

    backward_c = "dx[i] = dy[i] + (i % $d < $d - 1) * dy[i + 1];"


@planted("kernel memory", "reads out of bounds: past the end of `x`")
class ReadsPastTheEndOfLongRows(Pairs):
    """Looks one element ahead, in rows of more than 100 alone."""

    forward_c = "out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f) + ($d > 100 ? 0.0f * x[i + 1] : 0.0f);"


@planted("kernel memory", "reads out of bounds: past the end of `x`")
class ReadsFarPastTheEnd(Pairs):
    """An index that is multiplied once too often."""

    forward_c = "out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f); if (x[i * $d] > 1e29f) out[i] = x[i * $d];"


@planted("kernel memory", "writes out of bounds: element 1 of `out`, which has 1")
class WritesPastTheEnd(PairsByFour):
    """A tail that does not stop: four elements, whether they are there or not."""

    forward_c = "for (int k = 4 * i; k < 4 * i + 4; k++) out[k] = k < $all ? x[k] + (k % $d ? x[k - 1] : 0.0f) : 0.0f;"


@planted("kernel memory", "writes out of bounds: element -1 of `dx`")
class WritesBeforeTheBeginning(Pairs):
    """Clears the element before its own."""

    backward_c = "if (i == 0) dx[i - 1] = 0.0f; dx[i] = dy[i] + (i % $d < $d - 1 ? dy[i + 1] : 0.0f);"


@planted("kernel memory", "writes out of bounds")
class WorkItemTooMany(Pairs):
    """Off by one in the number of work-items."""

    def items(self, type):
        return type.size + 1


# -- memory that is not written, or written where it must not be -------------------------------------------------------


@planted("kernel memory", "never writes `out`[")
class TailLeftOut(PairsByFour):
    """Rounds the number of work-items down."""

    def items(self, type):
        return max(1, type.size // 4)


@planted("kernel memory", "never writes `out`")
class WorkItemsOfTheSample(Pairs):
    """The number of work-items is that of the author's example, at most."""

    def items(self, type):
        return min(type.size, 256)


@planted("kernel memory", "never writes `out`[1, 0]")
class Returns(Pairs):
    """Ends the loop that runs the work-items, where only its own should end."""

    forward_c = "if (i % $d == 0) { out[i] = x[i]; return; } out[i] = x[i] + x[i - 1];"


@planted("kernel memory", "counts on cleared memory")
class CountsOnZeros(Pairs):
    """Adds to an output that nobody cleared."""

    forward_c = "out[i] += x[i] + (i % $d ? x[i - 1] : 0.0f);"


@planted("kernel memory", "changes its input `x`")
class ChangesItsInput(Pairs):
    """Casts `const` away."""

    forward_c = "out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f); if (i == $all - 1) ((__global float*)x)[0] = 0.0f;"


# -- kernels that end the process ---------------------------------------------------------------------------------------


@planted("kernel memory", "the kernel `pairs` ends the process that runs it: SIG")
class FarOutOfBounds(Pairs):
    """A write that no guard is large enough for."""

    forward_c = "out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f); if (i == $all - 1) out[i + (1L << 42)] = 0.0f;"


# -- kernels that cannot be built ---------------------------------------------------------------------------------------


@planted("kernel memory", "use of undeclared identifier 'y'")
class DoesNotCompile(Pairs):
    """The output under another name: the compiler's words are shown, and the line."""

    forward_c = "y[i] = x[i];"


@planted("kernel memory", "kernel-build")
class DoesNotCompileForLongRows(Pairs):
    """An array of a negative size, where a row is longer than 100."""

    forward_c = "float room[100 - $d]; out[i] = x[i] + (i % $d ? x[i - 1] : 0.0f);"


@planted("kernel memory", "bad-lowering")
class AnotherTypeForLongRows(Pairs):
    """The kernel's result is shorter than the op's, where a row is longer than 100."""

    def kernel(self, title, into, out, type, source, meaning):
        return super().kernel(title, into, out, type if type.shape[-1] < 100 else type.with_shape(100), source, meaning)


# -- wrong at other sizes ----------------------------------------------------------------------------------------------


@planted("device", "output `y` is")
class TailOf256(Pairs):
    """The neighbour is forgotten where a block of 256 ends."""

    forward_c = "out[i] = x[i] + (i % $d && i % $d < 256 ? x[i - 1] : 0.0f);"


@planted("device", "output `y` is")
class RowsOfTheSample(Pairs):
    """Rows of three and below, as in the samples, are right."""

    forward_c = "out[i] = x[i] + (i % $d && i % $d < 3 ? x[i - 1] : 0.0f);"


@planted("device", "gradient of `x` is")
class OnlyMultiplesOfTwoInTheGradient(Pairs):
    """Goes by twos through rows of more than 16, and forgets what is left over."""

    backward_c = "dx[i] = dy[i] + (i % $d < ($d > 16 ? $d / 2 * 2 : $d) - 1 ? dy[i + 1] : 0.0f);"


@planted("device", "output `y` is")
class StepsOutOfItsRows(Pairs):
    """Adds the last element of the row above to the first one."""

    forward_c = "out[i] = x[i] + (i ? x[i - 1] : 0.0f);"


@planted("device", "output `y` is")
class ManyRows(Pairs):
    """The number of a row in 8 bits."""

    forward_c = (
        "const int row = (i / $d) & 255; const int k = row * $d + i % $d; out[i] = x[k] + (i % $d ? x[k - 1] : 0.0f);"
    )


@planted("device", "output `y` is inf")
class OverflowsOnTheDevice(Pairs):
    """NumPy is right for all numbers, the kernel up to 80."""

    forward_c = (
        "out[i] = (x[i] + (i % $d ? x[i - 1] : 0.0f)) * (fabs(x[i]) > 80.0f ? exp(100.0f + x[i] * x[i]) : 1.0f);"
    )


@planted("device", "AttributeError")
@dataclass(frozen=True)
class NeedsTheOptionalOnTheDevice(Pairs):
    """NumPy does without the optional input, the kernel does not."""

    def infer(self, x, shift=None):
        if shift is not None and shift != x:
            raise FlownetError.of("shape-mismatch", f"`shift` is {x}, got {shift}")
        return super().infer(x)

    def forward(self, x, shift=None):
        return super().forward(x if shift is None else x + shift)

    def backward_x(self, dy):
        return super().backward(dy)

    def backward_shift(self, dy):
        return super().backward(dy)

    backward = None  # type: ignore[assignment]

    def opencl(self, g, x, shift):
        kernel = Template(
            "pairs", ("x", "shift"), (("out", shift.type),),
            "out[i] = x[i] + shift[i] + (i % $d ? x[i - 1] + shift[i - 1] : 0.0f);", x.type.size, (("d", x.type.shape[-1]),),
            meaning=self.forward,
        )  # fmt: skip
        return g.add(kernel, x, shift)

    @classmethod
    def samples(cls):
        yield Sample(cls(), {"x": [[1.0, 2.0]], "shift": [[1.0, 0.0]]}, {"y": [[2.0, 4.0]]})


@planted("device", "output `y`")
@dataclass(frozen=True)
class ForgetsTheAttribute(Pairs):
    """A factor that is 1 in the sample, and that the kernels know nothing of."""

    factor: float = 1.0

    def checked(self):
        if not np.isfinite(self.factor):
            raise FlownetError.of("bad-attribute", f"`factor` of `pairs` must be finite, got {self.factor}")

    def forward(self, x):
        return super().forward(x) * x.dtype.type(self.factor)

    def backward(self, dy):
        return super().backward(dy) * dy.dtype.type(self.factor)


@planted("kernel memory", "reads out of bounds: before the beginning of `x`")
@dataclass(frozen=True)
class FarNeighbour(Pairs):
    """A distance that is not looked at where it is more than 1."""

    distance: int = 1

    def checked(self):
        if self.distance < 1:
            raise FlownetError.of("bad-attribute", f"`distance` of `pairs` must be 1 or more, got {self.distance}")

    def forward(self, x):
        y = np.array(x)
        y[..., self.distance :] += x[..., : -self.distance]
        return y

    def backward(self, dy):
        dx = np.array(dy)
        dx[..., : -self.distance] += dy[..., self.distance :]
        return dx

    def opencl(self, g, x):
        source = f"out[i] = x[i] + (i % $d ? x[i - {self.distance}] : 0.0f);"
        return g.add(self.kernel("pairs", "x", "out", x.type, source, self.forward), x)

    opencl_backward = None
