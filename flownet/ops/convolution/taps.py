"""What each tap of a filter sees of an image, as one run of memory.

An image is kept with its rows end to end, padding included. What a tap sees of a channel is then one run of it, that begins
at row·width + column: long copies instead of many short ones. The price is that the few pixels between two rows are
computed too, and dropped. A stride of s takes every s-th row and column, so the image is split into its s·s *phases*
first, on each of which the window moves by 1. A dilation is only a longer way to the next tap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import as_strided

from flownet.ops.windows import Pads, Pair

__all__ = ["Taps"]


@dataclass(frozen=True)
class Taps:
    """The geometry of a convolution from images of `size` to images of `output`."""

    size: Pair
    output: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Pads

    @cached_property
    def phases(self) -> list[Pair]:
        """The phases that a tap falls on, as (first row, first column)."""
        rows, columns = (
            sorted({tap * self.dilation[axis] % self.stride[axis] for tap in range(self.kernel[axis])})
            for axis in (0, 1)
        )
        return [(a, b) for a in rows for b in columns]

    @cached_property
    def plane(self) -> Pair:
        """(height, width) of a phase, as far as it is needed."""
        high, wide = (self.output[i] + (self.kernel[i] - 1) * self.dilation[i] // self.stride[i] for i in (0, 1))
        return high, wide

    @cached_property
    def offsets(self) -> list[tuple[int, int]]:
        """For each tap, row by row: (index of its phase, where its run begins)."""
        found = []
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                row, column = r * self.dilation[0], s * self.dilation[1]
                phase = self.phases.index((row % self.stride[0], column % self.stride[1]))
                found.append((phase, row // self.stride[0] * self.plane[1] + column // self.stride[1]))
        return found

    def run(self, rows: int) -> int:
        """The length of what a tap sees for that many rows of the output."""
        return (rows - 1) * self.plane[1] + self.output[1]

    @cached_property
    def is_plain(self) -> bool:
        """Whether the image is its own only phase: nothing has to be copied."""
        return (
            self.phases == [(0, 0)]
            and self.stride == (1, 1)
            and not any(map(any, self.padding))
            and self.plane == self.size
        )

    def memory(self, images: int, channels: int, dtype: np.dtype) -> np.ndarray:
        """Zeros for the phases of that many images: [images, channels, phases, height · width]."""
        return np.zeros((images, channels, len(self.phases), self.plane[0] * self.plane[1]), dtype)

    def split(self, x: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The phases of the images x, written to `memory` (the padding of which is zero), or x itself where that will do."""
        if self.is_plain:
            return x.reshape(*x.shape[:2], 1, -1)
        phases = memory[: len(x)]
        for pixels, of_x in self._parts(phases, x):
            np.copyto(pixels, of_x)
        return phases

    def join(self, phases: np.ndarray, dx: np.ndarray) -> None:
        """Write the images that `phases` are those of to dx: the inverse of `split`; what no tap sees is zero."""
        if len(self.phases) < self.stride[0] * self.stride[1] or self._leaves_a_rest:
            dx[...] = 0
        for pixels, of_x in self._parts(phases, dx):
            np.copyto(of_x, pixels)

    @cached_property
    def _leaves_a_rest(self) -> bool:
        """Whether the last rows or columns are seen by no tap."""
        return any(
            (self.output[i] - 1) * self.stride[i] + (self.kernel[i] - 1) * self.dilation[i] + 1
            < self.size[i] + self.padding[i][0]
            for i in (0, 1)
        )

    def _parts(self, phases: np.ndarray, x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        planes = phases.reshape(*phases.shape[:3], *self.plane)
        for index, phase in enumerate(self.phases):
            to, of = zip(*(self._part(axis, phase[axis]) for axis in (0, 1)), strict=True)
            yield planes[:, :, index, *to], x[:, :, *of]

    def _part(self, axis: int, first: int) -> tuple[slice, slice]:
        """Along one axis: which rows of the phase hold pixels, and which rows of the image these are."""
        stride, before = self.stride[axis], self.padding[axis][0]
        start = max(0, -(-(before - first) // stride))
        source = start * stride + first - before
        count = max(0, min(self.plane[axis] - start, -(-(self.size[axis] - source) // stride)))
        return slice(start, start + count), slice(
            source, source + max(0, (count - 1) * stride + 1) if count else source, stride
        )

    def pixels(self, run: np.ndarray, rows: int) -> np.ndarray:
        """A run as the pixels that it holds, without those between the rows: a view [..., rows, width]."""
        step = run.strides[-1]
        return as_strided(run, (*run.shape[:-1], rows, self.output[1]), (*run.strides[:-1], self.plane[1] * step, step))

    def spread(self, dy: np.ndarray, runs: np.ndarray) -> None:
        """Write images to runs, with zeros between the rows; both [..., images, …] with matching first axes."""
        if self.plane[1] > self.output[1]:
            runs[...] = 0
        np.copyto(self.pixels(runs, dy.shape[-2]), dy)
