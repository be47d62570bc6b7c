"""What a metric is: sufficient statistics of a batch, which are summed over batches, and a summary of the sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from flownet.op.contract import Op

__all__ = ["Metric"]


class Metric(Op):
    """Base class of metrics: the op's output is added up over the batches of an epoch, `summarise` makes a figure of it.

    So an accuracy is right over batches of any size, and a mean IoU is that of all pixels, not a mean of batches'.
    """

    category = "metric"
    differentiable = ()

    def summarise(self, total: np.ndarray) -> Any:
        """The figure that people read, for the sum of the outputs over all batches: a number, or lists of numbers."""
        raise NotImplementedError(f"{type(self).__name__}.summarise")
