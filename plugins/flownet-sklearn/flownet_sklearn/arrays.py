"""Arrays of the running process as a dataset, for the time of a `fit`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flownet import FlownetError
from flownet.data.dataset import DataRoot, Dataset, Splits
from flownet.data.split import Split
from flownet.registry import Registry, default_registry

__all__ = ["HeldArrays", "held", "registry"]

_held: dict[str, Split] = {}
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class HeldArrays(Dataset):
    """What `fit` was given; not for graph files.

    key: what `held` calls the arrays
    """

    name = "sklearn_arrays"
    summary = "what an estimator of flownet-sklearn is being fitted to; not for graph files"

    key: str

    def read(self, root: DataRoot) -> Splits:
        if self.key not in _held:
            raise FlownetError.of(
                "data-missing", "dataset `sklearn_arrays` is for estimators alone", help="use another dataset"
            )
        return {"train": _held[self.key]}


@contextmanager
def held(split: Split) -> Iterator[str]:
    """The key under which a split can be had meanwhile."""
    key = str(next(_numbers))
    _held[key] = split
    try:
        yield key
    finally:
        del _held[key]


def registry() -> Registry:
    """The process's registry, in which this package is a plugin whether it is installed or only imported."""
    import flownet_sklearn

    known = default_registry()
    if known.find("dataset", HeldArrays.name) is None:
        known.register(flownet_sklearn, "flownet-sklearn")
    return known
