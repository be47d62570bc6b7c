"""Arrays from Python as what a network is trained and measured on, in place of all that `train: data:` says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from flownet.data.dataset import Dataset
from flownet.data.split import ArraySplit, Field
from flownet.errors import FlownetError, near_names
from flownet.executor.session import as_input, sizes_of
from flownet.types import TensorType

__all__ = ["GivenArrays", "with_arrays"]

_SPLITS = ("train", "validation", "test")
_SAMPLED = 1000  # examples that the digest looks at: a mapped file larger than memory is not to be read twice


@dataclass(frozen=True, kw_only=True, repr=False)
class GivenArrays(Dataset):
    """Splits of arrays; its text tells other arrays apart, so that a run is not resumed with them."""

    name = "arrays"

    splits: Mapping[str, ArraySplit]

    def open(self, root: Any = None, *, beside: Any = None) -> dict[str, Any]:
        return dict(self.splits)

    def __repr__(self) -> str:
        return f"GivenArrays({self._digest})"

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            found.update(repr((name, len(split), sorted(split.fields.items()))).encode())
            count = min(len(split), _SAMPLED)
            batch = split.take(np.arange(count) * len(split) // count)
            for field in sorted(batch):
                found.update(np.ascontiguousarray(batch[field]).data)
        return found.hexdigest()[:16]


def with_arrays(section: Any, data: Mapping[str, Any], alone: str) -> Any:
    """The `TrainSection` with arrays for its data: input or target -> array, or split -> such a mapping.

    alone: the split that arrays are when `data` names none

    They are taken as `Network.run` takes them: as they are, in the input's element type where that changes no value.
    Raises FlownetError: `unknown-split`, `unknown-input`, `missing-input`, `input-mismatch`, `size-conflict`,
    `data-count`, `data-empty`, `data-nan`.
    """
    types = {value.name: value.type for value in section.graph.inputs}
    if not isinstance(data, Mapping) or not data:
        got = f"`{type(data).__name__}`" if data is not None and len(data) else "nothing"
        raise FlownetError.of(
            "input-mismatch", f"`data` maps names to arrays, got {got}", help=f"name arrays for {_listed(types)}"
        )
    named = data if all(isinstance(arrays, Mapping) for arrays in data.values()) else {alone: data}
    splits = {}
    for name, arrays in named.items():
        if name not in _SPLITS:
            help = near_names(str(name), _SPLITS) or f"splits are {_listed(_SPLITS)}"
            raise FlownetError.of("unknown-split", f"training knows no split `{name}`", help=help)
        splits[name] = _split(section, types, arrays, f"the split `{name}`")
    return replace(section, data=GivenArrays(splits=splits), feed={})


def _split(section: Any, types: Mapping[str, TensorType], given: Mapping[str, Any], origin: str) -> ArraySplit:
    try:
        arrays = {name: as_input(name, values, types.get(name)) for name, values in given.items()}
        for name, array in arrays.items():
            if not array.ndim:
                raise FlownetError.of(
                    "input-mismatch", f"`{name}` is one number, expected an array with a row an example"
                )
        rows = min([section.batch, *map(len, arrays.values())])
        sizes_of(section.graph, {name: array[:rows] for name, array in arrays.items()})
    except FlownetError as error:
        raise FlownetError(replace(d, notes=(*d.notes, f"in a batch of {origin}")) for d in error.diagnostics) from None
    fields = {name: Field(types[name].dtype, array.shape[1:]) for name, array in arrays.items()}
    return ArraySplit(arrays, fields, files=dict.fromkeys(fields, origin))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
