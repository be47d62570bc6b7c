"""What a metric is: sufficient statistics of a batch, which are summed over batches, and a figure made of the sum."""

from __future__ import annotations

import numpy as np

from flownet.op.contract import Op

__all__ = ["Metric"]


class Metric(Op):
    """Base class of metrics: the op's output is added up over the batches of an epoch, and `summarise` makes a figure of the sum.

    So an accuracy is right over batches of any size, and a mean IoU is that of all pixels, not a mean of batches'.
    The output's statistics must therefore be sums over examples: counts, sums of errors, a confusion matrix.
    """

    category = "metric"
    differentiable = ()

    def summarise(self, total: np.ndarray) -> float | list:
        """The figure that people read, for the sum of the outputs over all batches: a number, or nested lists of numbers.

        It is NaN where nothing was counted.
        """
        raise NotImplementedError(f"{type(self).__name__}.summarise")
