"""The data inside the package: `README.md` beside this file states the source and the licence of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flownet.data.split import Split, Splits, Subset

__all__ = ["every", "path_of"]


def path_of(name: str) -> Path:
    """Where the embedded file `name` lies."""
    return Path(__file__).with_name(name)


def every(nth: int, split: Split) -> Splits:
    """`split` with its first and then each `nth` example as the test split: the same for everybody, without a seed."""
    is_test = np.arange(len(split)) % nth == 0
    return {"train": Subset(split, np.flatnonzero(~is_test)), "test": Subset(split, np.flatnonzero(is_test))}
