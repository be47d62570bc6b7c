"""From a table to a split: `x` from the columns of features; `label`, or `y`, or both, from the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from flownet.data.formats.table import Table, is_number
from flownet.data.split import ArraySplit, Field
from flownet.errors import FlownetError
from flownet.types import DType

__all__ = ["Task", "classes_of", "tabular_split"]

Task = Literal["auto", "classification", "regression"]


def classes_of(table: Table, target: int, task: Task) -> tuple[str, ...] | None:
    """The names of the classes in column `target`, sorted, as numbers where they are; None for a regression.

    `auto` takes a column for classes when a cell of it is no number.
    """
    cells = table.texts(target)
    numeric = all(is_number(cell) or not cell for cell in cells)
    if task == "regression" or (task == "auto" and numeric):
        return None
    if "" in cells:
        line = table.lines[cells.index("")]
        raise FlownetError.of(
            "data-nan", f"{table.path}, line {line}, column `{table.names[target]}`: an empty cell in place of a class"
        )
    return tuple(sorted(set(cells), key=float if numeric else None))


def tabular_split(
    table: Table,
    features: Sequence[int],
    target: int | None,
    classes: tuple[str, ...] | None,
    dtype: DType = DType.float32,
) -> ArraySplit:
    """`x` float32[features], and of the target

    - none: nothing
    - numbers: `y` float32[1]
    - classes: `label` int32, and for two of them also `y` float32[1], 0 for the first and 1 for the second, for
      `binary_cross_entropy`
    """
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which the split reports with its place
        arrays = {"x": np.stack([table.numbers(column) for column in features], axis=1).astype(dtype.numpy)}
    fields = {"x": Field(dtype, (len(features),))}
    if target is not None and classes is None:
        arrays["y"] = table.numbers(target)[:, None].astype(dtype.numpy)
        fields["y"] = Field(dtype, (1,))
    elif target is not None and classes is not None:
        arrays["label"] = _labels(table, target, classes)
        fields["label"] = Field(DType.int32, (), "label", classes)
        if len(classes) == 2:
            arrays["y"] = arrays["label"].astype(dtype.numpy)[:, None]
            fields["y"] = Field(dtype, (1,), range=(0, 1))
    return ArraySplit(arrays, fields, files=dict.fromkeys(fields, table.path))


def _labels(table: Table, target: int, classes: tuple[str, ...]) -> np.ndarray:
    index = {name: i for i, name in enumerate(classes)}
    cells = table.texts(target)
    for cell, line in zip(cells, table.lines, strict=True):
        if cell not in index:
            raise FlownetError.of(
                "data-label-range",
                f"{table.path}, line {line}, column `{table.names[target]}`: there is no class `{cell}`",
                f"the classes are {', '.join(f'`{name}`' for name in classes[:20])}{', …' * (len(classes) > 20)}",
            )
    return np.array([index[cell] for cell in cells], np.int32)
