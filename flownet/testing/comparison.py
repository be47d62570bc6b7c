"""What differs between two sets of arrays, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["array_difference", "difference"]


def difference(
    got: Mapping[str, np.ndarray], expected: Mapping[str, object], *, relative: float, absolute: float, of: str = ""
) -> str | None:
    """The first array that differs, where, and by how much; None when all agree. NaN equals NaN."""
    for name, wanted in expected.items():
        if name not in got:
            return f"there is no output `{name}`: the outputs are {', '.join(got)}"
        found = array_difference(np.asarray(got[name]), np.asarray(wanted), relative=relative, absolute=absolute)
        if found:
            return f"{of}`{name}` {found}"
    return None


def array_difference(got: np.ndarray, wanted: np.ndarray, *, relative: float, absolute: float) -> str | None:
    """`is 2 at [0, 1], not 3`"""
    if got.shape != wanted.shape:
        return f"has the shape {list(got.shape)}, not {list(wanted.shape)}"
    if got.dtype.kind == "f" or wanted.dtype.kind == "f":
        close = np.isclose(got, wanted, rtol=relative, atol=absolute, equal_nan=True)
    else:
        close = got == wanted
    if np.all(close):
        return None
    place = tuple(int(i) for i in np.unravel_index(int(np.argmin(close)), got.shape))
    at = f" at [{', '.join(map(str, place))}]" if place else ""
    return f"is {got[place]:.9g}{at}, not {wanted[place]:.9g}"
