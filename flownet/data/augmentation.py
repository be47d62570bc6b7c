"""The contract of an augmentation: a random change of a batch that keeps its meaning.

Declared as `augment: [flip, {shift: 2}, {crop: {size: 32, padding: 4}}]`, applied in that order. The random numbers are
a function of (seed, epoch, position in the epoch), so that neither resuming nor the number of threads changes a pixel.
Masks go through the same change as their image, and no pixel of them is ever interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flownet.data.counter_random import Draws
from flownet.data.options import Locate, build, nowhere
from flownet.data.split import Batch, Field
from flownet.errors import Diagnostic, FlownetError, near_names

__all__ = ["Augmentation", "Fill", "augment", "filling", "read_augmentations", "spatial_fields"]

Fill = float | str


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A random change of a batch; the base of every augmentation. Its fields are its options in a graph file."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    shorthand: ClassVar[str | None] = None
    """The option that a bare value sets: with `pixels`, `{shift: 2}` means `{shift: {pixels: 2}}`."""

    def fields_after(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        """What an example holds after the change, for those that change a size. Raises for fields it cannot change."""
        return fields

    def apply(self, batch: Batch, fields: Mapping[str, Field], draws: Draws) -> Batch:
        """The changed batch: new arrays, or the same ones where nothing changes. `draws` is its only chance."""
        raise NotImplementedError(f"{type(self).__name__} has no `apply`")


def augment(
    batch: Batch, fields: Mapping[str, Field], augmentations: Sequence[Augmentation], seed: int, epoch: int, first: int
) -> Batch:
    """`batch`, whose examples stand at positions `first`, `first` + 1, … of the epoch, after all `augmentations`."""
    count = len(next(iter(batch.values())))
    for stream, augmentation in enumerate(augmentations):
        batch = augmentation.apply(batch, fields, Draws(seed, epoch, first, count, stream))
        fields = augmentation.fields_after(fields)
    return batch


def spatial_fields(augmentation: Augmentation, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The images and masks among `fields`, which must be of one height and width. Raises `data-field`."""
    spatial = {name: field for name, field in fields.items() if field.kind in ("image", "mask")}
    if not any(field.kind == "image" for field in spatial.values()):
        raise FlownetError.of(
            "data-field",
            f"augmentation `{augmentation.name}` needs an image, the data have {', '.join(f'`{n}`' for n in fields)}",
            help=f"take `{augmentation.name}` out of `augment`",
        )
    if len({field.shape[-2:] for field in spatial.values()}) > 1:
        sizes = ", ".join(f"`{name}` {list(field.shape[-2:])}" for name, field in spatial.items())
        raise FlownetError.of("data-field", f"augmentation `{augmentation.name}` needs fields of one size, got {sizes}")
    return spatial


def filling(augmentation: Augmentation, field: Field, fill: Fill) -> dict[str, Any]:
    """The arguments of `np.pad` for pixels that come in from outside of the picture.

    An image gets the number `fill`, a mask its class for "no label"; with `edge` both repeat their border.
    Raises `data-field` for a mask that has no such class: any number would be a wrong label.
    """
    if fill == "edge":
        return {"mode": "edge"}
    if field.kind == "image":
        return {"mode": "constant", "constant_values": fill}
    if field.ignore is None:
        raise FlownetError.of(
            "data-field",
            f"augmentation `{augmentation.name}` moves in pixels without a label, and the mask has no class for these",
            help="say `fill: edge` to repeat the border, or name the class by the dataset's option `ignore`",
        )
    return {"mode": "constant", "constant_values": field.ignore}


def pad(array: np.ndarray, rows: int, columns: int, how: Mapping[str, Any]) -> np.ndarray:
    """`array[..., h, w]` with so many rows and columns more on either side."""
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(rows, rows), (columns, columns)], **how)


def read_augmentations(
    declared: Any, augmentations: Mapping[str, type[Augmentation]], locate: Locate = nowhere
) -> tuple[Augmentation, ...]:
    """The augmentations that `augment:` declares: a list of names, `{name: value}` and `{name: {options}}`.

    Raises FlownetError: `unknown-augmentation`, `unknown-option`, `missing-option`, `bad-option`.
    """
    if not isinstance(declared, list | tuple):
        help = "write `augment: [flip, {shift: 2}]`"
        raise FlownetError.of("bad-option", "`augment` takes a list", span=locate(("augment",)), help=help)
    found: list[Augmentation] = []
    wrong: list[Diagnostic] = []
    for index, item in enumerate(declared):
        try:
            found.append(_read_one(item, augmentations, index, locate))
        except FlownetError as error:
            wrong += error.diagnostics
    if wrong:
        raise FlownetError(wrong)
    return tuple(found)


def _read_one(item: Any, augmentations: Mapping[str, type[Augmentation]], index: int, locate: Locate) -> Augmentation:
    if isinstance(item, Augmentation):
        return item
    span = locate(("augment", index))
    if isinstance(item, Mapping) and len(item) == 1:
        ((name, options),) = item.items()
    elif isinstance(item, str):
        name, options = item, {}
    else:
        help = "write `flip`, `{shift: 2}` or `{crop: {size: 32, padding: 4}}`"
        raise FlownetError.of("bad-option", "an item of `augment` is a name or `{name: options}`", span=span, help=help)
    if name not in augmentations:
        known = f"installed are {', '.join(f'`{n}`' for n in sorted(augmentations))}"
        help = near_names(str(name), augmentations) or known
        raise FlownetError.of("unknown-augmentation", f"there is no augmentation `{name}`", span=span, help=help)
    cls = augmentations[name]
    if options is None:
        options = {}
    elif not isinstance(options, Mapping):
        if cls.shorthand is None:
            raise FlownetError.of("bad-option", f"augmentation `{name}` takes a mapping of options", span=span)
        options = {cls.shorthand: options}
    place: Locate = lambda path: locate(("augment", index, name, *path)) or span  # noqa: E731
    return build(cls, options, what=f"augmentation `{name}`", locate=place)
