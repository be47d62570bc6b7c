"""OpenCL C for what nobody foresaw: how a plugin brings a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Template"]


@dataclass(frozen=True)
class Template(Op):
    """`work_items` independent runs of a piece of OpenCL C.

    inputs:     names of the inputs: `__global const <type>*` pointers in the source
    result:     the types of the outputs by name: `__global <type>*` pointers
    source:     C statements. `i` (int) is the number of the work-item, 0 up to `work_items`; `{name}` is replaced by constants' values,
                so literal braces of C stay as they are
    constants:  (name, number): what `$name` in the source stands for
    meaning:    the same in NumPy, a function of the input arrays; the kernel is tested against it, and the CPU device runs it
    functions:  C of functions that the source calls

    Plain row-major arrays come in and go out. Work-items must write to different elements, and all of them must be written. One work-item
    does not end by `return` or `continue`: some devices run many in a loop, others one alone. `flownet op test` finds what breaks this.

    >>> from flownet.types import DType
    >>> double = Template("double", ("x",), (("y", TensorType(DType.float32, (4,))),), "y[i] = $k * x[i];", 4,
    ...                   (("k", 2.0),), meaning=lambda x: 2 * x)
    >>> double.meaning(21)
    42
    """

    title: str
    inputs: tuple[str, ...]
    result: tuple[tuple[str, TensorType], ...]
    source: str
    work_items: int
    constants: tuple[tuple[str, float], ...] = ()
    functions: str = ""
    meaning: Callable[..., Any] | None = field(default=None, compare=False)
    work: int = 0  # floating-point operations of all work-items, for the tables

    category = "kernel"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.title

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(name for name, _ in self.result)

    @property
    def signature_inputs(self) -> tuple[str, ...]:
        return self.inputs

    @property
    def optional_inputs(self) -> frozenset[str]:
        return frozenset()

    @property
    def variadic(self) -> None:
        return None

    @property
    def is_composite(self) -> bool:
        return False

    @property
    def takes_out(self) -> bool:
        return False

    def declared(self, types: Mapping[str, TensorType]) -> dict:
        return {}

    def result_types(self, types: Mapping[str, TensorType]) -> tuple[TensorType, ...]:
        return tuple(type_ for _, type_ in self.result)

    def run(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        assert self.meaning is not None, f"the template `{self.title}` has no meaning in NumPy"
        result = self.meaning(*(arrays[name] for name in self.inputs))
        return tuple(result) if isinstance(result, (tuple, list)) else (np.asarray(result),)

    def forward(self, *arrays: np.ndarray) -> Any:
        results = self.run(dict(zip(self.inputs, arrays, strict=True)))
        return results if len(results) > 1 else results[0]

    def cost(self, inputs: Any, outputs: Any) -> tuple[int, int]:
        return self.work, 0

    def __str__(self) -> str:
        return f"{self.title}[{self.work_items} work-items]"
