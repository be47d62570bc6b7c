"""What a dataset hands out: `Field`s that describe one example, and `Split`s that give batches of them by index.

A split never holds float32 images: pixels stay in memory, or in a memory-mapped file, as the bytes that they came in, a
quarter of the size, and become float32 in [0, 1] in `take`. A batch of 64 CIFAR-10 images costs about 0.07 ms so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from flownet.errors import FlownetError
from flownet.types import DType, Symbolic, TensorType

__all__ = [
    "ArraySplit",
    "Batch",
    "Field",
    "Kind",
    "Split",
    "Splits",
    "Subset",
    "check_batch",
    "class_names",
    "converted",
    "in_memory",
]

Kind = Literal["image", "mask", "label", "values"]
Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Field:
    """What one example holds under one name.

    dtype:   the element type of what `take` returns
    shape:   of one example, without the batch: `(1, 28, 28)`; `()` for a scalar
    kind:    `image` is [channels, height, width]; `mask` is [height, width] of class indices, and goes through the
             augmentations with its image; `label` is a class index; `values` is everything else
    classes: names for the class indices, where there are classes
    range:   the lowest and highest value, where they are known
    ignore:  the class index of a mask that means "no label here"
    """

    dtype: DType
    shape: tuple[int, ...]
    kind: Kind = "values"
    classes: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    ignore: int | None = None

    def type(self, batch: str = "N") -> TensorType:
        """The type of a batch of it, for the graph.

        >>> str(Field(DType.float32, (1, 28, 28), "image").type())
        'float32[N, 1, 28, 28]'
        """
        return TensorType(self.dtype, (Symbolic.symbol(batch), *self.shape))


@runtime_checkable
class Split(Protocol):
    """Examples that can be taken by index; what a dataset's `read` returns for `train`, `validation` and `test`.

    `take` must be safe to call from several threads at once, give the same values for the same indices always, and
    return arrays that the caller may write to.
    """

    @property
    def fields(self) -> Mapping[str, Field]: ...

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> Batch:
        """The examples at `indices`, stacked: name -> `dtype[len(indices), *shape]`, in the order of `indices`."""
        ...


Splits = dict[str, Split]

# Arrays that are mapped from a file and larger than this are checked batch by batch, not as a whole when they open:
# a dataset larger than memory must not be read twice.
_CHECKED_AT_OPEN = 64 << 20


class ArraySplit:
    """A split over arrays in memory or mapped from a file, one example a row.

    arrays: name -> array[examples, ...]; bytes under an `image` field are divided by 255
    fields: name -> Field; an array whose element type differs from its field's is converted in `take`
    files:  name -> the file that it came from, for messages

    Errors: `data-empty`; `data-count` when the arrays differ in length; `data-wrong-size` when an example does not have
    its field's shape; `data-nan`; `data-label-range`.
    """

    in_memory = True

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        fields: Mapping[str, Field],
        *,
        files: Mapping[str, object] | None = None,
    ) -> None:
        self.fields: Mapping[str, Field] = dict(fields)
        self._files = {name: str((files or {}).get(name, "the data")) for name in fields}
        self._arrays = {name: np.asarray(arrays[name]) for name in fields}
        self._length = self._common_length()
        self._check_shapes()
        self._unchecked: dict[str, Field] = {}
        for name, field in self.fields.items():
            array = arrays[name]
            if isinstance(array, np.memmap) and array.nbytes > _CHECKED_AT_OPEN:
                self._unchecked[name] = field
            else:
                check_batch({name: self._arrays[name]}, {name: field}, self._files)

    def _common_length(self) -> int:
        lengths = {name: len(array) for name, array in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            counts = [f"{self._files[name]} has {length} under `{name}`" for name, length in lengths.items()]
            raise FlownetError.of(
                "data-count",
                f"the numbers of examples differ: {', '.join(f'{n} of `{name}`' for name, n in lengths.items())}",
                *counts,
                help="every image needs one label: check that the files belong to the same split",
            )
        length = next(iter(lengths.values()), 0)
        if not length:
            where = " and ".join(sorted(set(self._files.values()))) or "the data"
            raise FlownetError.of(
                "data-empty", f"{where} holds no examples", help="give a file with one or more examples"
            )
        return length

    def _check_shapes(self) -> None:
        for name, field in self.fields.items():
            found = self._arrays[name].shape[1:]
            if int(np.prod(found)) != int(np.prod(field.shape)):
                raise FlownetError.of(
                    "data-wrong-size",
                    f"`{name}` in {self._files[name]}: an example has shape {list(found)}, "
                    f"expected {list(field.shape)}",
                )

    def __len__(self) -> int:
        return self._length

    def take(self, indices: np.ndarray) -> Batch:
        batch = {name: converted(self._arrays[name].take(indices, axis=0), f) for name, f in self.fields.items()}
        if self._unchecked:
            check_batch(batch, self._unchecked, self._files)
        return batch


def converted(rows: np.ndarray, field: Field) -> np.ndarray:
    """Stored `rows` as the field's element type and shape; the bytes of an image become 0 to 1."""
    is_bytes = rows.dtype == np.uint8
    if rows.dtype != field.dtype.numpy:
        rows = rows.astype(field.dtype.numpy)
    if is_bytes and field.kind == "image":
        # a division, not a product with 1/255: it rounds once, so that the bytes can be had back exactly
        rows /= np.array(255, rows.dtype)
    return rows.reshape(len(rows), *field.shape)


class Subset:
    """The examples of `split` at `indices`, in that order."""

    def __init__(self, split: Split, indices: np.ndarray) -> None:
        self.split = split
        self.indices = np.asarray(indices, np.int64)
        self.in_memory = in_memory(split)

    @property
    def fields(self) -> Mapping[str, Field]:
        return self.split.fields

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: np.ndarray) -> Batch:
        return self.split.take(self.indices[indices])


def in_memory(split: Split) -> bool:
    """Whether `take` only copies: nothing is decoded, so that a thread to do it ahead of time would not pay."""
    return bool(getattr(split, "in_memory", False))


_MOST_CLASSES = 1 << 20


def class_names(classes: int | tuple[str, ...] | None, used: np.ndarray, where: str) -> tuple[str, ...]:
    """The names of `classes`; for a number of them "0", "1", …; without either, as many as the labels `used` need.

    Raises `data-label-range` when that is more than any network could tell apart, `bad-option` for no classes at all.
    """
    if isinstance(classes, tuple) and classes:
        return classes
    if not classes and classes is not None:
        raise FlownetError.of("bad-option", "`classes` names no classes", help="give their number, or their names")
    assert not isinstance(classes, tuple)
    count = max(1, int(used.max(initial=0)) + 1) if classes is None else classes
    if not 0 < count <= _MOST_CLASSES:
        raise FlownetError.of(
            "data-label-range",
            f"{where}: {count} classes, expected 1 to {_MOST_CLASSES}",
            help="class indices count from 0; save numbers that are no classes as floats",
        )
    return tuple(map(str, range(count)))


def check_batch(batch: Mapping[str, np.ndarray], fields: Mapping[str, Field], files: Mapping[str, object]) -> None:
    """Raises `data-nan` for a float that is not finite and `data-label-range` for a class index out of range.

    `files` names, by field, what to blame.
    """
    for name, field in fields.items():
        array, file = batch[name], files.get(name, "the data")
        if array.dtype.kind == "f":
            _check_finite(array, name, file)
        elif field.classes is not None and field.kind in ("label", "mask"):
            _check_labels(array, field, name, file)


def _check_finite(array: np.ndarray, name: str, file: object) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        example, *inside = (int(i) for i in np.argwhere(~finite)[0])
        value = array[(example, *inside)]
        at = f" at {inside}" if inside else ""
        raise FlownetError.of(
            "data-nan",
            f"`{name}` in {file} holds {value}: example {example}{at}, and {int((~finite).sum())} in all",
            help="remove these examples, or put a number in their place",
        )


def _check_labels(array: np.ndarray, field: Field, name: str, file: object) -> None:
    assert field.classes is not None
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < len(field.classes):
        return
    wrong = (array < 0) | (array >= len(field.classes))
    if field.ignore is not None:
        wrong &= array != field.ignore
    if not wrong.any():
        return
    first = np.argwhere(wrong)[0]
    also = f", or {field.ignore} for no label" if field.ignore is not None else ""
    raise FlownetError.of(
        "data-label-range",
        f"`{name}` in {file} holds class {int(array[tuple(first)])}, expected 0 to {len(field.classes) - 1}{also}",
        f"the first one is in example {int(first[0])}; {int(wrong.sum())} in all",
        help="check that the file holds class indices that count from 0",
    )
