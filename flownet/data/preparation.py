"""Held-out validation, limits and standardisation: what a user asks of any dataset, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from flownet.data.counter_random import permutation
from flownet.data.split import Batch, Field, Split, Splits, Subset, in_memory
from flownet.errors import FlownetError

__all__ = ["Moments", "Standardised", "check_preparation", "hold_out", "limited", "moments_of", "prepare"]

_CHUNK = 256  # examples at a time in a pass over a split: CIFAR-10's float32 images take 3 MB so, and stay in the cache


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation, one a channel (or column), or a single one for all."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            message = f"`standardise` needs as many `std` as `mean`, got {len(self.std)} and {len(self.mean)}"
            raise FlownetError.of("bad-option", message)
        if not all(value > 0 for value in self.std):
            raise FlownetError.of("bad-option", f"`std` has to be above zero, got {list(self.std)}")


def check_preparation(dataset: str, validation: float, limit: int | None) -> None:
    """Raises `bad-option` for values that no data could satisfy."""
    if validation < 0 or (isinstance(validation, float) and validation >= 1):
        raise FlownetError.of(
            "bad-option",
            f"option `validation` of dataset `{dataset}` is {validation}",
            help="give a fraction above 0 and below 1, or a whole number of examples",
        )
    if limit is not None and limit < 1:
        raise FlownetError.of("bad-option", f"option `limit` of dataset `{dataset}` is {limit}, expected 1 or more")


def prepare(
    dataset: str,
    splits: Splits,
    *,
    validation: float = 0,
    seed: int = 0,
    limit: int | None = None,
    standardise: Literal["none", "per_channel"] | Moments | None = "none",
) -> Splits:
    """`splits` with examples held out, then limited, then standardised by what is left of the train split."""
    splits = dict(splits)
    if validation:
        if "validation" in splits:
            raise FlownetError.of(
                "bad-option",
                f"dataset `{dataset}` brings its own validation split of {len(splits['validation'])} examples",
                help="leave `validation` out",
            )
        splits["train"], splits["validation"] = hold_out(splits["train"], validation, seed)
    if limit is not None:
        splits = {name: limited(split, limit) for name, split in splits.items()}
    if standardise == "none" or standardise is None:
        return splits
    moments = _moments(splits["train"], standardise)
    return {name: Standardised(split, moments) for name, split in splits.items()}


def hold_out(split: Split, part: float, seed: int, *, test: bool = False) -> tuple[Subset, Subset]:
    """What is left of `split`, and the `part` held out: a fraction (rounded to whole examples) or a number of them.

    Which ones is a function of `seed`, the length, and whether it is for testing; both keep the order of `split`.
    Raises `data-empty` when either would be empty.
    """
    count = round(part * len(split)) if isinstance(part, float) else part
    if not 0 < count < len(split):
        raise FlownetError.of(
            "data-empty",
            f"holding out {part} of {len(split)} examples leaves {len(split) - count} to train on and {count} aside",
            help="both need one or more: change the fraction, or bring more examples",
        )
    order = permutation(len(split), seed, int(test), hold_out=True)
    return Subset(split, np.sort(order[count:])), Subset(split, np.sort(order[:count]))


def limited(split: Split, limit: int) -> Split:
    """At most `limit` examples, evenly spread: where a file is sorted by class, the first are of one."""
    if len(split) <= limit:
        return split
    return Subset(split, np.arange(limit) * len(split) // limit)


def moments_of(split: Split, names: list[str]) -> dict[str, Moments]:
    """Mean and standard deviation of each channel (axis 1 of a batch) of the fields `names`, in float64.

    One pass over the whole split, by sums of squares of values shifted by the first chunk's mean, which keeps the
    digits that the plain formula E[x²] - E[x]² loses when the mean is large (Chan, Golub, LeVeque 1983). A channel that
    never changes gets the deviation 1, so that it becomes zero and not NaN.
    """
    shift: dict[str, np.ndarray] = {}
    total: dict[str, np.ndarray] = {}
    squares: dict[str, np.ndarray] = {}
    count = dict.fromkeys(names, 0)
    for first in range(0, len(split), _CHUNK):
        batch = split.take(np.arange(first, min(first + _CHUNK, len(split))))
        for name in names:
            x = batch[name].reshape(len(batch[name]), split.fields[name].shape[0], -1)
            if name not in shift:
                shift[name] = x.mean(axis=(0, 2), dtype=np.float64)
                total[name], squares[name] = np.zeros_like(shift[name]), np.zeros_like(shift[name])
            d = x - shift[name].astype(x.dtype)[:, None]
            total[name] += d.sum(axis=(0, 2), dtype=np.float64)
            squares[name] += np.square(d, out=d).sum(axis=(0, 2), dtype=np.float64)
            count[name] += x.shape[0] * x.shape[2]
    found = {}
    for name in names:
        off = total[name] / count[name]
        mean = shift[name].astype(split.fields[name].dtype.numpy).astype(np.float64) + off
        variance = np.maximum(squares[name] / count[name] - off**2, 0)
        std = np.sqrt(variance)
        # what is left of a constant channel is the rounding of float32
        std[std <= 1e-6 * np.maximum(np.abs(mean), 1e-30)] = 1.0
        found[name] = Moments(tuple(map(float, mean)), tuple(map(float, std)))
    return found


def _moments(train: Split, how: Literal["per_channel"] | Moments) -> dict[str, Moments]:
    names = [name for name, field in train.fields.items() if _is_input(name, field)]
    if not names:
        raise FlownetError.of(
            "data-field", f"there is nothing to standardise among {', '.join(f'`{n}`' for n in train.fields)}"
        )
    if not isinstance(how, Moments):
        return moments_of(train, names)
    for name in names:
        channels = train.fields[name].shape[0]
        if len(how.mean) not in (1, channels):
            message = f"`standardise` gives {len(how.mean)} means, `{name}` has {channels} channels"
            raise FlownetError.of("bad-option", message, help=f"give {channels}, or one for all")
    return dict.fromkeys(names, how)


def _is_input(name: str, field: Field) -> bool:
    # a target keeps its units: a loss in standard deviations would mean something else than the user wrote
    return field.dtype.is_float and len(field.shape) > 0 and (field.kind == "image" or name == "x")


class Standardised:
    """`split` with (x - mean) / std in place of x, for the fields in `moments`."""

    def __init__(self, split: Split, moments: Mapping[str, Moments]) -> None:
        self.split = split
        self.moments = dict(moments)
        self.in_memory = in_memory(split)
        self.fields: Mapping[str, Field] = {
            name: replace(field, range=None) if name in moments else field for name, field in split.fields.items()
        }
        self._mean_std: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, known in self.moments.items():
            field = split.fields[name]
            along = (-1, *[1] * (len(field.shape) - 1))
            self._mean_std[name] = (
                np.array(known.mean, field.dtype.numpy).reshape(along),
                np.array(known.std, field.dtype.numpy).reshape(along),
            )

    def __len__(self) -> int:
        return len(self.split)

    def take(self, indices: np.ndarray) -> Batch:
        batch = self.split.take(indices)
        for name, (mean, std) in self._mean_std.items():
            batch[name] -= mean
            batch[name] /= std
        return batch
