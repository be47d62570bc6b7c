"""Values that must lie in a range: checked when they are fed, since a kernel cannot complain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["InRange"]


@dataclass(frozen=True)
class InRange(Op):
    """`x` itself; nothing runs.

    A device calls `check_fed` for values that the host feeds. The quick test comes first: whole numbers in [0, below). Otherwise
    `rule`, the op whose rule it is, raises what it would raise itself: by its own `check_fed(x)`, or as one whose input is labels.
    """

    below: int
    rule: Op

    name = "in_range"
    category = "kernel"
    is_view = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x

    def flops(self, x: TensorType) -> int:
        return 0

    def check_fed(self, x: np.ndarray) -> None:
        """Raise FlownetError (`label-range`, `index-out-of-range`) for a value that the rule does not allow."""
        from flownet.ops.loss.class_labels import counted_labels

        if x.dtype.kind in "iu" and x.size and int(x.view(f"u{x.dtype.itemsize}").max()) < self.below:
            return
        if hasattr(self.rule, "check_fed"):
            self.rule.check_fed(x)
            return
        counted_labels(self.rule.name, x, self.below, getattr(self.rule, "ignore_index", None))
