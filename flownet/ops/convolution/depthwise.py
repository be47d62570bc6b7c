"""Convolutions whose every filter sees one channel: sums of shifted images, since matrices of one row gain nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flownet.ops.convolution.taps import Taps

__all__ = ["Depthwise"]

# An image, a sum and a product of this size stay in a core's second-level cache.
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class Depthwise:
    """A convolution of images [n, channels, *taps.size] by `multiple` filters [1, *taps.kernel] for each channel."""

    taps: Taps
    channels: int
    multiple: int

    def convolve(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
        """y = W ∗ x + b"""
        matrix = self._matrix(weight)
        for images, channels, phases, (total, product) in self._blocks(x):
            pixels = self.taps.pixels(total, self.taps.output[0])
            for m in range(self.multiple):
                for tap, seen in self._seen(phases):
                    factor = matrix[channels, m, tap, None]
                    np.multiply(seen, factor, out=product if tap else total)
                    if tap:
                        total += product
                target = self._outputs(y, images, channels, m)
                if bias is None:
                    np.copyto(target, pixels)
                else:
                    np.add(pixels, bias.reshape(-1, self.multiple)[channels, m, None, None], out=target)

    def weight_gradient(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """dW"""
        total = np.zeros((self.channels, self.multiple, len(self.taps.offsets)), x.dtype)
        for images, channels, phases, (runs, _) in self._blocks(x):
            for m in range(self.multiple):
                self.taps.spread(self._outputs(dy, images, channels, m), runs)
                for tap, seen in self._seen(phases):
                    total[channels, m, tap] += np.einsum("ncp,ncp->c", runs, seen)
        return total.reshape(-1, 1, *self.taps.kernel)

    def input_gradient(self, dy: np.ndarray, weight: np.ndarray, dx: np.ndarray) -> None:
        """dx"""
        matrix = self._matrix(weight)
        for images, channels, phases, (runs, product) in self._blocks(dx, fill=False):
            phases[...] = 0
            for m in range(self.multiple):
                self.taps.spread(self._outputs(dy, images, channels, m), runs)
                for tap, seen in self._seen(phases):
                    np.multiply(runs, matrix[channels, m, tap, None], out=product)
                    seen += product
            self.taps.join(phases, dx[images, channels])

    def _matrix(self, weight: np.ndarray) -> np.ndarray:
        return weight.reshape(self.channels, self.multiple, -1)

    def _outputs(self, y: np.ndarray, images: slice, channels: slice, m: int) -> np.ndarray:
        return y[images, channels.start * self.multiple + m : channels.stop * self.multiple : self.multiple]

    def _seen(self, phases: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        run = self.taps.run(self.taps.output[0])
        for tap, (phase, offset) in enumerate(self.taps.offsets):
            yield tap, phases[:, :, phase, offset : offset + run]

    def _blocks(self, x: np.ndarray, fill: bool = True) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
        """(images, channels, their phases, memory for two runs each)."""
        run = self.taps.run(self.taps.output[0])
        planes = max(1, BLOCK_BYTES // (run * x.itemsize))
        width = min(planes, self.channels)
        count = max(1, min(len(x), planes // width))
        for start in range(0, len(x), count):
            images = slice(start, min(len(x), start + count))
            for first in range(0, self.channels, width):
                channels = slice(first, min(self.channels, first + width))
                part = x[images, channels]
                # fresh zeros for each block: the padding must be zero, and small memory comes back warm
                plain = fill and self.taps.is_plain
                memory = part if plain else self.taps.memory(part.shape[0], part.shape[1], x.dtype)
                phases = self.taps.split(part, memory) if fill else memory
                yield images, channels, phases, np.empty((2, *part.shape[:2], run), x.dtype)
